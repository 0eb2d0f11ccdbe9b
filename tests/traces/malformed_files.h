#pragma once
// Files that must not be taken for traces: each is one valid trace with one named change.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace kvsieve::tests {

struct MalformedFile {
  std::string name;
  std::string expected;  ///< what the error message must contain
  std::function<void(const std::filesystem::path&)> write;
};

/// The trace that all others are made from. It is valid.
[[nodiscard]] std::string valid_trace_bytes();

[[nodiscard]] std::vector<MalformedFile> malformed_files();

}  // namespace kvsieve::tests
