#include "point_command.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace kvsieve::cli {
namespace {

/// A word as a shell takes it.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_./%:=+,@").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) {
    return word;
  }
  std::string text = "'";
  for (const char c : word) {
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return text + "'";
}

}  // namespace

std::vector<std::string> point_command(
    const std::vector<std::pair<std::string, std::string>>& options) {
  const auto trace = std::find_if(options.begin(), options.end(),
                                  [](const auto& option) { return option.first == "trace"; });
  std::vector<std::string> words;
  if (trace == options.end()) {
    words = {"cost"};
  } else {
    words = {"run", trace->second};
  }
  for (const auto& [name, value] : options) {
    if (name == "trace" || value == "false") {
      continue;
    }
    words.push_back("--" + name);
    if (value != "true") {
      words.push_back(value);
    }
  }
  return words;
}

std::string command_line(const std::vector<std::string>& words) {
  std::string line = "kvsieve";
  for (const std::string& word : words) {
    line += " " + quoted(word);
  }
  return line;
}

}  // namespace kvsieve::cli
