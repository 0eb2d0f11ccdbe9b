#pragma once
// The threshold of a top-k by histograms of an order-preserving integer image of the scores.

#include <bit>
#include <cstdint>
#include <span>

namespace kvsieve::kernels {

/// Integers ordered as the floats are; -0 and +0 get the same one. For finite x the result is
/// below 0xff800000, so larger values can mark entries that rank before every score.
[[nodiscard]] inline std::uint32_t rank_key(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x + 0.0F);  // turns -0 into +0
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

/// Every key above `key` is in the top k, and so are `ties` of those equal to it.
struct RankThreshold {
  std::uint32_t key = 0;
  std::int64_t ties = 0;
};

/// The threshold of the k largest keys, 1 <= k <= keys.size(). As a rule one pass over the keys,
/// between two of a sample, and little work on the few that lie there; at worst four passes.
[[nodiscard]] RankThreshold select_threshold(std::span<const std::uint32_t> keys, std::int64_t k);

}  // namespace kvsieve::kernels
