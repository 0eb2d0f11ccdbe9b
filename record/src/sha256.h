#pragma once
// SHA-256 of a text, for a trace's provenance.

#include <string>
#include <string_view>

namespace kvsieve::record {

/// SHA-256 of `bytes` as 64 hexadecimal digits, as `sha256sum` prints it.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace kvsieve::record
