#include "kvsieve/traces/input_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw Error(ErrorKind::kBadInput, "no such file");
  }
  if (error) {
    throw Error(ErrorKind::kBadInput, fmt::format("cannot open ({})", error.message()));
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw Error(ErrorKind::kBadInput, "is not a regular file");
  }
  if (std::filesystem::file_size(path, error) > max_bytes) {
    throw Error(ErrorKind::kBadInput, fmt::format("is larger than {} bytes", max_bytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) {
    throw Error(ErrorKind::kBadInput, fmt::format("cannot read ({})", std::strerror(errno)));
  }
  return bytes;
}

}  // namespace kvsieve::traces
