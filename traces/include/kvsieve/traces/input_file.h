#pragma once
// Small files, read whole.

#include <cstddef>
#include <filesystem>
#include <string>

namespace kvsieve::traces {

/// The bytes of a regular file of at most `max_bytes`. Throws Error(kBadInput) without the path,
/// which callers put before it together with what else they find wrong.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace kvsieve::traces
