#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "kvsieve/profile/measured_timeline.h"

namespace kvsieve::profile {
namespace {

std::string demangled(const std::string& mangled) {
  // Other names may be those of types: the kernel f is not float. The demangler recurses.
  constexpr std::size_t kLongest = 4096;
  if (!mangled.starts_with("_Z") || mangled.size() > kLongest) {
    return mangled;
  }
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text != nullptr ? text.get() : mangled;
}

}  // namespace

std::string short_kernel_name(const std::string& mangled) {
  constexpr std::string_view kAnonymous = "(anonymous namespace)";
  const std::string full = demangled(mangled);
  std::string name;
  int depth = 0;
  for (std::size_t i = 0; i < full.size(); ++i) {
    if (full.compare(i, kAnonymous.size(), kAnonymous) == 0) {
      i += kAnonymous.size() - 1;
    } else if (full[i] == '<') {
      ++depth;
    } else if (full[i] == '>') {
      --depth;
    } else if (depth == 0 && full[i] == '(') {
      break;
    } else if (depth == 0) {
      name += full[i];
    }
  }
  const std::size_t begin = name.find_last_of(" :");
  return begin == std::string::npos ? name : name.substr(begin + 1);
}

}  // namespace kvsieve::profile
