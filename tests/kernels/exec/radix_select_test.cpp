#include "exec/cpu/radix_select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "exec/cpu/parallel.h"

namespace kvsieve::kernels {
namespace {

using Keys = std::vector<std::uint32_t>;

/// The threshold by a full sort.
RankThreshold sorted_threshold(Keys keys, std::int64_t k) {
  std::sort(keys.begin(), keys.end(), std::greater<>());
  const std::uint32_t key = keys[static_cast<std::size_t>(k - 1)];
  const auto above = std::count_if(keys.begin(), keys.end(), [&](auto x) { return x > key; });
  return {key, k - above};
}

void expect_like_sort(const Keys& keys, std::int64_t k) {
  const RankThreshold actual = select_threshold(keys, k);
  const RankThreshold expected = sorted_threshold(keys, k);
  EXPECT_EQ(actual.key, expected.key) << "k = " << k << " of " << keys.size();
  EXPECT_EQ(actual.ties, expected.ties) << "k = " << k << " of " << keys.size();
}

Keys masked_noise(std::size_t n, std::uint32_t mask, std::uint32_t base) {
  std::mt19937 generator(static_cast<std::uint32_t>(n) ^ mask);
  Keys keys(n);
  for (std::uint32_t& key : keys) {
    key = (static_cast<std::uint32_t>(generator()) & mask) | base;
  }
  return keys;
}

TEST(RadixSelect, EqualsAFullSort) {
  for (const std::size_t n : {1, 2, 31, 32, 33, 255, 256, 257, 1025, 4097, 70'000}) {
    // All bits; only the high or only the low half differs; few distinct values.
    for (const std::uint32_t mask : {0xffffffffU, 0xffff0000U, 0x0000ffffU, 0x00018001U, 0x3U}) {
      for (const std::uint32_t base : {0U, 0x80000000U}) {
        const Keys keys = masked_noise(n, mask, base);
        const auto size = static_cast<std::int64_t>(n);
        for (const std::int64_t k : {std::int64_t{1}, (size + 1) / 2, size * 9 / 10 + 1, size}) {
          expect_like_sort(keys, std::min(k, size));
        }
      }
    }
  }
}

TEST(RadixSelect, KeysThatRepeatInStepWithASample) {
  // Every 1st, 2nd, 4th ... key is small: a sample at even steps misjudges the others' ranks.
  for (std::size_t period = 1; period <= 1024; period *= 2) {
    for (const std::size_t n : {4096, 8192, 65'536, 100'000}) {
      Keys keys = masked_noise(n, 0x00ffffffU, 0x80000000U);
      for (std::size_t i = 0; i < n; i += period) {
        keys[i] &= 0xffffU;
      }
      const auto size = static_cast<std::int64_t>(n);
      for (const std::int64_t k : {size / 5, size / 2, size - 3}) {
        expect_like_sort(keys, k);
      }
    }
  }
}

TEST(RadixSelect, EveryRankOfASmallSet) {
  const Keys keys = masked_noise(300, 0x0003000fU, 0);
  for (std::int64_t k = 1; k <= 300; ++k) {
    expect_like_sort(keys, k);
  }
}

TEST(RadixSelect, AllEqual) {
  for (const std::uint32_t key : {0U, 0xffffU, 0x10000U, 0x80000000U, 0xffffffffU}) {
    const Keys keys(1000, key);
    for (const std::int64_t k : {1, 500, 1000}) {
      const RankThreshold threshold = select_threshold(keys, k);
      EXPECT_EQ(threshold.key, key);
      EXPECT_EQ(threshold.ties, k);
    }
  }
}

TEST(RadixSelect, ABinHoldsAnyNumberOfKeys) {
  Keys keys(200'000, 0x90000000U);
  keys[77] = 0x80000003U;
  keys[78] = 0x80000002U;
  keys[199'999] = 0xa0000000U;
  for (const std::int64_t k : {1, 2, 65'536, 65'537, 199'998, 199'999, 200'000}) {
    expect_like_sort(keys, k);
  }
}

TEST(RadixSelect, IndependentOfOtherThreads) {
  // Every thread has its own histogram.
  std::vector<Keys> sets;
  for (std::size_t i = 0; i < 64; ++i) {
    sets.push_back(masked_noise(500 + 97 * i, 0xff0fff0fU, 0));
  }
  std::vector<RankThreshold> thresholds(sets.size());
  parallel_blocks(static_cast<std::int64_t>(sets.size()), 1, [&](std::int64_t i, std::int64_t) {
    const auto slot = static_cast<std::size_t>(i);
    thresholds[slot] = select_threshold(sets[slot], 1 + i * 5);
  });
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const RankThreshold expected = sorted_threshold(sets[i], 1 + static_cast<std::int64_t>(i) * 5);
    EXPECT_EQ(thresholds[i].key, expected.key) << i;
    EXPECT_EQ(thresholds[i].ties, expected.ties) << i;
  }
}

TEST(RankKey, OrdersAsTheFloatsDo) {
  using Limits = std::numeric_limits<float>;
  const float ascending[] = {Limits::lowest(),
                             -1e30F,
                             -2.0F,
                             -1.0F - Limits::epsilon(),
                             -1.0F,
                             -Limits::min(),
                             -Limits::denorm_min(),
                             0.0F,
                             Limits::denorm_min(),
                             Limits::min(),
                             0.5F,
                             1.0F,
                             1.0F + Limits::epsilon(),
                             2.0F,
                             1e30F,
                             Limits::max()};
  for (std::size_t i = 1; i < std::size(ascending); ++i) {
    EXPECT_LT(rank_key(ascending[i - 1]), rank_key(ascending[i])) << ascending[i];
  }
  std::mt19937 generator(7);
  std::uniform_real_distribution<float> uniform(-3.0F, 3.0F);
  for (int i = 0; i < 20'000; ++i) {
    const float a = uniform(generator);
    const float b = uniform(generator);
    EXPECT_EQ(a < b, rank_key(a) < rank_key(b)) << a << " and " << b;
  }
}

TEST(RankKey, T18_ZerosAreEqualAndFiniteScoresLeaveRoomAbove) {
  EXPECT_EQ(rank_key(-0.0F), rank_key(0.0F));
  EXPECT_LT(rank_key(std::numeric_limits<float>::max()), 0xff800000U);
}

}  // namespace
}  // namespace kvsieve::kernels
