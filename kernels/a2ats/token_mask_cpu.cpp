#include <algorithm>
#include <cmath>

#include "a2ats/token_mask.h"
#include "exec/cpu/radix_select.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kWordBits = 64;
constexpr std::int64_t kScanKeys = 256;  // looked through at a time for the oldest tie

/// The first of the last `wanted` keys that equal `key`, 1 <= wanted <= their number.
std::int64_t first_of_last_equal(std::span<const std::uint32_t> keys, std::uint32_t key,
                                 std::int64_t wanted) {
  auto end = static_cast<std::int64_t>(keys.size());
  for (;;) {
    const std::int64_t begin = std::max<std::int64_t>(end - kScanKeys, 0);
    std::int64_t equal = 0;
    simd().count_above(keys.data() + begin, end - begin, key, &equal);
    if (equal >= wanted) {
      break;
    }
    wanted -= equal;
    end = begin;
  }
  for (;;) {
    --end;
    if (keys[static_cast<std::size_t>(end)] == key && --wanted == 0) {
      return end;
    }
  }
}

}  // namespace

void mark_tokens(std::span<const std::int32_t> tokens, std::int64_t first_token,
                 std::uint64_t* words) {
  for (const std::int32_t token : tokens) {
    const auto bit = static_cast<std::uint64_t>(token - first_token);
    words[bit / kWordBits] |= std::uint64_t{1} << (bit % kWordBits);
  }
}

void rank_scores(std::span<const float> scores, std::uint32_t* keys) {
  if (simd().rank_keys(scores.data(), keys, static_cast<std::int64_t>(scores.size()))) {
    return;
  }
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      keys[i] = 0;
    }
  }
}

std::int64_t mask_top_keys(std::span<const std::uint32_t> keys, std::int64_t k,
                           std::uint64_t* words) {
  const auto n = static_cast<std::int64_t>(keys.size());
  const RankThreshold threshold = select_threshold(keys, k);
  std::int64_t equal = 0;
  simd().count_above(keys.data(), n, threshold.key, &equal);
  // Below `first`, only larger keys; from it on, equal ones too.
  const std::int64_t first = first_of_last_equal(keys, threshold.key, threshold.ties);
  const std::int64_t whole = first / kWordBits;
  simd().mask_at_least(keys.data(), whole * kWordBits, threshold.key + 1, words);
  simd().mask_at_least(keys.data() + whole * kWordBits, n - whole * kWordBits, threshold.key,
                       words + whole);
  for (std::int64_t j = whole * kWordBits; j < first; ++j) {
    if (keys[static_cast<std::size_t>(j)] == threshold.key) {
      words[whole] &= ~(std::uint64_t{1} << static_cast<std::uint64_t>(j % kWordBits));
    }
  }
  return equal;
}

}  // namespace kvsieve::kernels
