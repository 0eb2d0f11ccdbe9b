#include "exec/cpu/radix_select.h"

#include <algorithm>
#include <array>
#include <memory>

namespace kvsieve::kernels {
namespace {

constexpr std::uint32_t kBins = 1U << 16U;
using Histogram = std::array<std::uint32_t, kBins>;

/// The bin in which the k-th largest lies; k becomes its rank inside that bin.
std::uint32_t find_bin(const Histogram& histogram, std::int64_t& k) {
  std::uint32_t bin = kBins - 1;
  while (histogram[bin] < k) {
    k -= histogram[bin];
    --bin;
  }
  return bin;
}

}  // namespace

RankThreshold select_threshold(std::span<const std::uint32_t> keys, std::int64_t k) {
  thread_local const auto histogram = std::make_unique<Histogram>();
  histogram->fill(0);
  for (const std::uint32_t key : keys) {
    ++(*histogram)[key >> 16U];
  }
  const std::uint32_t high = find_bin(*histogram, k);
  histogram->fill(0);
  for (const std::uint32_t key : keys) {
    if (key >> 16U == high) {
      ++(*histogram)[key & 0xffffU];
    }
  }
  const std::uint32_t low = find_bin(*histogram, k);
  return {high << 16U | low, k};
}

}  // namespace kvsieve::kernels
