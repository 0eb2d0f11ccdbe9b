#pragma once
// Paths of sources, the same wherever the project was built.

#include <string>

namespace kvsieve::bench {

/// A path that nvcc wrote, relative to the root of the sources; a header of the toolkit as it is
/// included. What is neither stays as it is.
[[nodiscard]] std::string relative_source_path(const std::string& file);

}  // namespace kvsieve::bench
