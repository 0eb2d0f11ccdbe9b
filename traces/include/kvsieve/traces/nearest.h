#pragma once
// Suggestions for misspelt names.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::traces {

/// The least number of characters to insert, delete or replace that makes `b` of `a`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word` by edit distance, the first of equals, or empty if none is
/// close: within a third of the word's length, at least 2.
[[nodiscard]] std::string nearest(std::string_view word,
                                  const std::vector<std::string>& candidates);

}  // namespace kvsieve::traces
