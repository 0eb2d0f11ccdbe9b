#pragma once
// Tokens sorted by code, so that a step's top K is decided among C table entries and only what is
// selected is expanded: O(C + K) a query head instead of O(T).

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// The buckets of one KV head over tokens [range.begin, range.end): bucket m is
/// tokens[offsets[m]] up to tokens[offsets[m + 1]], ascending. Tokens that became eligible since
/// are the ones behind range.end; their codes are read one by one, so a table is rebuilt now and
/// then, not every step.
struct CodeBuckets {
  TokenRange range;
  std::vector<std::int32_t> offsets;  ///< [C + 1]
  std::vector<std::int32_t> tokens;   ///< [range.size()]
};

/// Sorts the tokens of the range by code (a counting sort).
/// @param codes by token, each < C @param codewords C
/// Throws Error(kBadInput) naming the first token whose code is C or more.
void build_buckets(std::span<const std::uint16_t> codes, TokenRange range, std::int64_t codewords,
                   CodeBuckets& buckets);

/// Replaces `selected` by the top k tokens of `range` under scores table[codes[j]]: exactly what
/// select_top(lookup_scores(...)) selects (score descending, then the most recent; several codes
/// may have the same score), in O(C + k + range.end - buckets.range.end) and one pass over a bit a
/// token, which puts them in order.
/// @param table [C] @param codes by token, at least range.end
/// @param range begins where the buckets begin and ends at or behind their end
/// @return tokens in the range whose score equals the k-th, 0 if k is 0
/// Throws Error(kInternal) if the range does not fit the buckets.
std::int64_t select_top_buckets(std::span<const float> table, const CodeBuckets& buckets,
                                std::span<const std::uint16_t> codes, TokenRange range,
                                std::int64_t k, std::vector<std::int32_t>& selected);

/// Work of build_buckets over n tokens of each of S segments.
[[nodiscard]] constexpr Work build_buckets_work(std::int64_t segments, std::int64_t tokens,
                                                std::int64_t codewords) {
  return {segments * tokens * 2, segments * (tokens + codewords + 1) * 4, 0};
}

/// Work of selecting k of n tokens by their buckets, for each of G query heads of S segments: a
/// pass over C entries, C counts and the `tail` codes that are not in the buckets yet for each of
/// three digits, and one over entries and codes that marks tokens as topk_retrieval_work counts it.
/// Of the tokens in buckets those that are selected are read.
[[nodiscard]] constexpr Work code_buckets_work(std::int64_t segments, std::int64_t group,
                                               std::int64_t codewords, std::int64_t tokens,
                                               std::int64_t k, std::int64_t tail) {
  return {segments * group * (3 * codewords * 8 + codewords * 4 + 4 * tail * 2 + k * 4),
          topk_retrieval_work(segments, group, tokens).bytes_written, 0};
}

}  // namespace kvsieve::kernels
