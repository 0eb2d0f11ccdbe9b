#include "source_path.h"

#include <filesystem>
#include <string_view>

namespace kvsieve::bench {

std::string relative_source_path(const std::string& file) {
  const std::filesystem::path path = std::filesystem::path(file).lexically_normal();
  // A compiler's cache may give a file that was compiled for a copy of the sources elsewhere, so
  // that the end of the path alone says which file it is.
  const std::filesystem::path root = KVSIEVE_SOURCE_DIR;
  std::filesystem::path end;
  for (auto part = path.end(); part != path.begin();) {
    --part;
    end = end.empty() ? *part : *part / end;
    if (end.is_relative() && std::filesystem::is_regular_file(root / end)) {
      return end.string();
    }
  }
  constexpr std::string_view kIncludeFolder = "/include/";
  const std::string normal = path.string();
  const std::size_t include = normal.rfind(kIncludeFolder);
  return include == std::string::npos ? normal : normal.substr(include + kIncludeFolder.size());
}

}  // namespace kvsieve::bench
