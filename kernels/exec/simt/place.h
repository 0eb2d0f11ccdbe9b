#pragma once
// A line of source as messages name it.

#include <fmt/format.h>

#include <source_location>
#include <string>
#include <string_view>

namespace kvsieve::simt {

/// "file.cu:12", without folders.
inline std::string place(const std::source_location& where) {
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  return fmt::format("{}:{}", file, where.line());
}

}  // namespace kvsieve::simt
