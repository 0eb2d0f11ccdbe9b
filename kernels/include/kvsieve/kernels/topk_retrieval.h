#pragma once
// Which tokens a decode step attends to: sinks, window, and the union over a group of each query
// head's top K (the selection rule of A2ATS).

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// Tokens [begin, end).
struct TokenRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] constexpr std::int64_t size() const noexcept { return end - begin; }
};

/// The tokens that the query at position i may retrieve: neither sinks nor window,
/// [sinks, i + 1 - window), empty while those cover everything.
[[nodiscard]] constexpr TokenRange eligible_tokens(std::int64_t i, std::int64_t sinks,
                                                   std::int64_t window) noexcept {
  const std::int64_t end = i + 1 > window ? i + 1 - window : 0;
  const std::int64_t begin = sinks < end ? sinks : end;
  return {begin, end};
}

/// Replaces `selected` by the top k tokens of the range.
/// Which: the largest scores. Ties: the most recent token. Order: ascending. Deterministic on every
/// backend; larger k give supersets. NaN ranks below every number.
/// @param scores indexed by token, at least range.end @param k 0 <= k; more than the range takes
/// all
/// @return tokens in the range whose score equals the k-th, 0 if k is 0
std::int64_t select_top(std::span<const float> scores, TokenRange range, std::int64_t k,
                        std::vector<std::int32_t>& selected);

/// Replaces `merged` by the union of ascending sets, ascending.
void unite(std::span<const std::vector<std::int32_t>> sets, std::vector<std::int32_t>& merged);

/// Size of the intersection of two ascending sets.
[[nodiscard]] std::int64_t common_tokens(std::span<const std::int32_t> a,
                                         std::span<const std::int32_t> b);

/// Replaces `tokens` by what the query at position i attends to, ascending: sinks [0, sinks), the
/// retrieved tokens (ascending, all eligible) and the window (i - window, i].
void attended_tokens(std::int64_t i, std::int64_t sinks, std::int64_t window,
                     std::span<const std::int32_t> retrieved, std::vector<std::int32_t>& tokens);

/// 32-bit words of a mask of that many tokens; bit j % 32 of word j / 32 stands for token j.
[[nodiscard]] constexpr std::int64_t mask_words(std::int64_t tokens) {
  return (tokens + 31) / 32;
}

/// Work of selecting among n tokens for each of G query heads of S segments: a pass over the scores
/// for each of three digits and one that marks the tokens in the segment's mask; a number of ties a
/// query head.
[[nodiscard]] constexpr Work topk_retrieval_work(std::int64_t segments, std::int64_t group,
                                                 std::int64_t tokens) {
  return {segments * group * 4 * tokens * 4, segments * (mask_words(tokens) + group) * 4, 0};
}

/// Work of listing `listed` tokens from the bit masks of n tokens of each of S segments.
[[nodiscard]] constexpr Work list_tokens_work(std::int64_t segments, std::int64_t tokens,
                                              std::int64_t listed) {
  return {segments * mask_words(tokens) * 4, (listed + segments) * 4, 0};
}

}  // namespace kvsieve::kernels
