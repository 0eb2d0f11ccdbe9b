#pragma once
// Which tokens of a prompt spell a given stretch of its text.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kvsieve::record {

/// Tokens [begin, end).
struct TokenSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  bool operator==(const TokenSpan&) const = default;
};

/// The tokens that share at least one byte with the first occurrence of `needle` in the
/// concatenation of `pieces`, the tokens' texts. Empty if the needle is empty or does not occur.
/// Working on the pieces rather than on the prompt keeps the answer right for tokenizers that put
/// text of their own in front of the prompt.
[[nodiscard]] std::optional<TokenSpan> find_needle(std::span<const std::string> pieces,
                                                   std::string_view needle);

}  // namespace kvsieve::record
