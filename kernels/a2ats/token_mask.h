#pragma once
// Sets of tokens as bits, so that a query head's top K, the union over its group and an ascending
// list cost no sorting. Bit j % 64 of word j / 64 stands for token range.begin + j.

#include <cstdint>
#include <span>

#include "kvsieve/kernels/code_buckets.h"
#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::kernels {

/// Words of a mask of that many tokens.
[[nodiscard]] constexpr std::int64_t token_mask_words(std::int64_t tokens) noexcept {
  return (tokens + 63) / 64;
}

/// Sets the bits of tokens; bit 0 stands for `first_token`.
void mark_tokens(std::span<const std::int32_t> tokens, std::int64_t first_token,
                 std::uint64_t* words);

/// keys[i] = rank_key(scores[i]), with NaN below every number.
void rank_scores(std::span<const float> scores, std::uint32_t* keys);

/// Overwrites a mask [token_mask_words(keys.size())] by the k largest keys, 1 <= k <= keys.size();
/// of equal ones, the last. Returns the number of keys equal to the k-th.
std::int64_t mask_top_keys(std::span<const std::uint32_t> keys, std::int64_t k,
                           std::uint64_t* words);

/// Overwrites a mask [token_mask_words(range.size())] by what select_top_buckets selects;
/// 1 <= k <= range.size(). Returns what it returns.
/// @param keys [C] ranks of the table's entries
std::int64_t mask_top_buckets(std::span<const std::uint32_t> keys, const CodeBuckets& buckets,
                              std::span<const std::uint16_t> codes, TokenRange range,
                              std::int64_t k, std::uint64_t* words);

}  // namespace kvsieve::kernels
