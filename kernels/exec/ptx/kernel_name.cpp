#include "exec/ptx/kernel_name.h"

#include <cxxabi.h>

#include <cctype>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace kvsieve::ptx {
namespace {

constexpr std::string_view kAnonymous = "(anonymous namespace)";
constexpr std::string_view kVoid = "void ";

bool is_of_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Removes the identifier at the end of the text.
void drop_last_name(std::string& text) {
  while (!text.empty() && is_of_name(text.back())) {
    text.pop_back();
  }
}

/// "a::b::name<c::type>" as "name<type>".
std::string without_namespaces(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    if (text.starts_with(kAnonymous)) {
      text.remove_prefix(kAnonymous.size());
    } else if (text.starts_with("::")) {
      drop_last_name(result);
      text.remove_prefix(2);
    } else {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

/// "name<(Mode)2>" as "name<2>".
std::string without_enumerator_types(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 && result.ends_with(')')) {
      std::string before = result.substr(0, result.size() - 1);
      drop_last_name(before);
      if (before.ends_with('(')) {
        before.pop_back();
        result = before;
      }
    }
    result += c;
  }
  return result;
}

/// Without the parameters, which begin with the first parenthesis outside template arguments.
std::string without_parameters(const std::string& name) {
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    depth += name[i] == '<' ? 1 : 0;
    depth -= name[i] == '>' ? 1 : 0;
    if (name[i] == '(' && depth == 0) {
      return name.substr(0, i);
    }
  }
  return name;
}

}  // namespace

std::string display_name(const std::string& mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &std::free);
  if (status != 0) {
    return mangled;
  }
  std::string_view name = demangled.get();
  // Templates say their return type first.
  if (name.starts_with(kVoid)) {
    name.remove_prefix(kVoid.size());
  }
  return without_parameters(without_enumerator_types(without_namespaces(name)));
}

}  // namespace kvsieve::ptx
