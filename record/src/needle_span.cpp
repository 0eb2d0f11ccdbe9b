#include "needle_span.h"

#include <algorithm>
#include <vector>

namespace kvsieve::record {

std::optional<TokenSpan> find_needle(std::span<const std::string> pieces, std::string_view needle) {
  std::string text;
  std::vector<std::size_t> ends;
  ends.reserve(pieces.size());
  for (const std::string& piece : pieces) {
    text += piece;
    ends.push_back(text.size());
  }
  const std::size_t begin = needle.empty() ? std::string::npos : text.find(needle);
  if (begin == std::string::npos) {
    return std::nullopt;
  }
  const std::size_t end = begin + needle.size();
  // A token covers the bytes up to its end: the first one that ends behind `begin` holds the first
  // byte, the first one that reaches `end` holds the last.
  const auto first = std::upper_bound(ends.begin(), ends.end(), begin);
  const auto last = std::lower_bound(ends.begin(), ends.end(), end);
  return TokenSpan{first - ends.begin(), last - ends.begin() + 1};
}

}  // namespace kvsieve::record
