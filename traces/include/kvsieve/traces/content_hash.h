#pragma once
// What files and configurations are recognised by.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace kvsieve::traces {

/// xxh128 of bytes, 32 hexadecimal digits.
[[nodiscard]] std::string content_hash(std::span<const std::byte> bytes);
[[nodiscard]] std::string content_hash(std::string_view text);

/// content_hash of a file's bytes. Throws Error(kBadInput), one line that begins with the path, if
/// it cannot be read.
[[nodiscard]] std::string file_hash(const std::filesystem::path& path);

}  // namespace kvsieve::traces
