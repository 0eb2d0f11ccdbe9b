#include "exec/cpu/radix_select.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

constexpr std::uint32_t kDigitBits = 11;  // a histogram of 8 KiB leaves room in the L1 cache
constexpr std::uint32_t kMaxBins = 1U << kDigitBits;
constexpr int kKeyBits = 32;

// Fewer keys are counted digit by digit at once.
constexpr std::size_t kSampledFrom = 4096;
constexpr std::size_t kSamples = 1024;
// Of the sample, on either side: four standard deviations of the wanted rank at most.
constexpr std::int64_t kMargin = 64;

/// The threshold by histograms of one digit after the other, the most significant first.
RankThreshold threshold_by_digits(std::span<const std::uint32_t> keys, std::int64_t k) {
  std::uint32_t prefix = 0;
  std::uint32_t known = 0;  // the bits that prefix holds
  for (int unknown = kKeyBits; unknown > 0;) {
    const int bits = std::min(unknown, static_cast<int>(kDigitBits));
    const int shift = unknown - bits;
    const std::uint32_t mask = (1U << static_cast<unsigned>(bits)) - 1U;
    std::array<std::uint32_t, kMaxBins> histogram{};
    for (const std::uint32_t key : keys) {
      if ((key & known) == prefix) {
        ++histogram[key >> static_cast<unsigned>(shift) & mask];
      }
    }
    std::uint32_t bin = mask;
    while (histogram[bin] < k) {
      k -= histogram[bin];
      --bin;
    }
    prefix |= bin << static_cast<unsigned>(shift);
    known |= mask << static_cast<unsigned>(shift);
    unknown = shift;
  }
  return {prefix, k};
}

/// Keys {low, high} that the k-th largest probably lies between, from an even sample.
std::pair<std::uint32_t, std::uint32_t> bracket(std::span<const std::uint32_t> keys,
                                                std::int64_t k) {
  std::array<std::uint32_t, kSamples> sample{};
  for (std::size_t i = 0; i < kSamples; ++i) {
    sample[i] = keys[i * keys.size() / kSamples];
  }
  constexpr auto kCount = static_cast<std::int64_t>(kSamples);
  const std::int64_t rank = k * kCount / static_cast<std::int64_t>(keys.size());
  std::uint32_t low = 0;
  std::uint32_t high = 0xffffffffU;
  auto rest = sample.begin();
  if (rank - kMargin >= 0) {
    rest = sample.begin() + (rank - kMargin);
    std::nth_element(sample.begin(), rest, sample.end(), std::greater<>());
    high = *rest;
  }
  if (rank + kMargin < kCount) {
    const auto nth = sample.begin() + (rank + kMargin);
    std::nth_element(rest, nth, sample.end(), std::greater<>());
    low = *nth;
  }
  return {low, high};
}

}  // namespace

RankThreshold select_threshold(std::span<const std::uint32_t> keys, std::int64_t k) {
  if (keys.size() < kSampledFrom) {
    return threshold_by_digits(keys, k);
  }
  // Each pass copies at most half of the keys, behind the copy that it reads; or it is the last.
  Scratch<std::uint32_t> scratch(2 * keys.size() + static_cast<std::size_t>(kPanelWidth));
  std::uint32_t* candidates = scratch.data();
  while (keys.size() >= kSampledFrom) {
    const auto [low, high] = bracket(keys, k);
    std::int64_t above = 0;
    const std::int64_t found = simd().keys_within(
        keys.data(), static_cast<std::int64_t>(keys.size()), low, high, candidates, &above);
    if (k <= above || k > above + found) {
      break;  // the sample misled: the pass was in vain
    }
    k -= above;
    if (low == high) {
      return {low, k};
    }
    const bool narrower = static_cast<std::size_t>(found) <= keys.size() / 2;
    keys = {candidates, static_cast<std::size_t>(found)};
    if (!narrower) {
      break;
    }
    candidates += found;
  }
  return threshold_by_digits(keys, k);
}

}  // namespace kvsieve::kernels
