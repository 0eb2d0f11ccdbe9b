// The inner loops over rank keys, for every instruction set of this machine.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "exec/cpu/radix_select.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

using Keys = std::vector<std::uint32_t>;

constexpr std::uint32_t kLargest = 0xffffffffU;
constexpr std::int64_t kLongest = 70;  // several vectors of every width and each rest

/// Keys with many equal ones, on both sides of the sign bit.
Keys few_values(std::int64_t n, std::uint32_t seed) {
  constexpr std::uint32_t kValues[] = {0, 1, 0x7fffffffU, 0x80000000U, 0x80000001U, kLargest - 1};
  std::mt19937 generator(seed);
  Keys keys(static_cast<std::size_t>(n));
  for (std::uint32_t& key : keys) {
    key = kValues[generator() % std::size(kValues)];
  }
  return keys;
}

class SimdKeys : public testing::TestWithParam<const SimdOps*> {
 protected:
  const SimdOps& ops = *GetParam();
};

TEST_P(SimdKeys, RankKeysAreThoseOfEachScore) {
  const float values[] = {0.0F,
                          -0.0F,
                          1.5F,
                          -1.5F,
                          std::numeric_limits<float>::max(),
                          std::numeric_limits<float>::lowest(),
                          std::numeric_limits<float>::denorm_min(),
                          -std::numeric_limits<float>::min()};
  std::vector<float> scores;
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    // One element in, so that no vector is aligned.
    Keys keys(static_cast<std::size_t>(n + 2), 7);
    scores.resize(static_cast<std::size_t>(n + 1));
    EXPECT_TRUE(ops.rank_keys(scores.data() + 1, keys.data() + 1, n)) << n;
    for (std::int64_t i = 1; i <= n; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      EXPECT_EQ(keys[slot], rank_key(scores[slot])) << scores[slot];
    }
    EXPECT_EQ(keys.front(), 7U);
    EXPECT_EQ(keys.back(), 7U);
    scores.push_back(values[static_cast<std::size_t>(n) % std::size(values)]);
  }
}

TEST_P(SimdKeys, RankKeysSeeEveryScoreThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()}) {
    for (std::size_t where = 0; where < 37; ++where) {
      std::vector<float> scores(37, 1.0F);
      scores[where] = bad;
      Keys keys(37);
      EXPECT_FALSE(ops.rank_keys(scores.data(), keys.data(), 37)) << bad << " at " << where;
    }
  }
}

TEST_P(SimdKeys, CountAbove) {
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    const Keys keys = few_values(n, 1);
    for (const std::uint32_t key : {0U, 0x7fffffffU, 0x80000000U, kLargest}) {
      std::int64_t equal = -1;
      const std::int64_t above = ops.count_above(keys.data(), n, key, &equal);
      EXPECT_EQ(above, std::count_if(keys.begin(), keys.end(), [&](auto x) { return x > key; }));
      EXPECT_EQ(equal, std::count(keys.begin(), keys.end(), key));
    }
  }
}

TEST_P(SimdKeys, PinAbove) {
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    const Keys before = few_values(n + 1, 2);
    for (const std::uint32_t key : {0U, 0x7fffffffU, 0x80000000U, kLargest}) {
      Keys keys = before;
      ops.pin_above(keys.data(), n, key);
      for (std::int64_t i = 0; i <= n; ++i) {
        const auto slot = static_cast<std::size_t>(i);
        EXPECT_EQ(keys[slot], i < n && before[slot] > key ? kLargest : before[slot]);
      }
    }
  }
}

TEST_P(SimdKeys, KeysWithinKeepTheirOrder) {
  const struct {
    std::uint32_t low;
    std::uint32_t high;
  } bounds[] = {{0, kLargest}, {1, 0x80000000U}, {0x80000000U, 0x80000000U}, {2, 3}};
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    const Keys keys = few_values(n, 3);
    for (const auto& bound : bounds) {
      Keys out(static_cast<std::size_t>(n + kPanelWidth));
      std::int64_t above = -1;
      const std::int64_t found =
          ops.keys_within(keys.data(), n, bound.low, bound.high, out.data(), &above);
      Keys expected;
      std::copy_if(keys.begin(), keys.end(), std::back_inserter(expected),
                   [&](auto x) { return x >= bound.low && x <= bound.high; });
      out.resize(static_cast<std::size_t>(found));
      EXPECT_EQ(out, expected);
      EXPECT_EQ(above,
                std::count_if(keys.begin(), keys.end(), [&](auto x) { return x > bound.high; }));
    }
  }
}

TEST_P(SimdKeys, IndicesAboveTakeTheFirstTies) {
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    const Keys keys = few_values(n, 4);
    for (const std::uint32_t key : {0U, 0x80000000U}) {
      const std::int64_t equal = std::count(keys.begin(), keys.end(), key);
      for (std::int64_t ties = 0; ties <= equal; ++ties) {
        std::vector<std::int32_t> out(static_cast<std::size_t>(n + kPanelWidth));
        const std::int64_t found = ops.indices_above(keys.data(), n, key, ties, 1000, out.data());
        std::vector<std::int32_t> expected;
        std::int64_t left = ties;
        for (std::int64_t i = 0; i < n; ++i) {
          const std::uint32_t next = keys[static_cast<std::size_t>(i)];
          if (next > key || (next == key && left-- > 0)) {
            expected.push_back(static_cast<std::int32_t>(1000 + i));
          }
        }
        out.resize(static_cast<std::size_t>(found));
        ASSERT_EQ(out, expected) << n << " keys, " << ties << " ties";
      }
    }
  }
}

TEST_P(SimdKeys, MaskAtLeastHasABitAKey) {
  // Beyond two words, with rests of every length.
  for (std::int64_t n = 0; n <= 2 * 64 + kLongest; ++n) {
    const Keys keys = few_values(n, 5);
    for (const std::uint32_t key : {0U, 1U, 0x80000000U, 0x80000001U, kLargest}) {
      std::vector<std::uint64_t> words(static_cast<std::size_t>((n + 63) / 64 + 1), 99);
      ops.mask_at_least(keys.data(), n, key, words.data());
      std::vector<std::uint64_t> expected(words.size() - 1);
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (keys[i] >= key) {
          expected[i / 64] |= std::uint64_t{1} << (i % 64);
        }
      }
      expected.push_back(99);
      ASSERT_EQ(words, expected) << n << " keys";
    }
  }
}

TEST_P(SimdKeys, ListBitsAreAscending) {
  std::mt19937_64 generator(7);
  std::vector<std::uint64_t> words;
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    std::vector<std::int32_t> expected;
    for (std::size_t i = 0; i < words.size() * 64; ++i) {
      if ((words[i / 64] >> (i % 64) & 1U) != 0) {
        expected.push_back(static_cast<std::int32_t>(500 + i));
      }
    }
    std::vector<std::int32_t> out(expected.size() + static_cast<std::size_t>(kListSlack) + 1, -1);
    const std::int64_t found = ops.list_bits(words.data(), n, 500, out.data());
    EXPECT_EQ(out.back(), -1);
    out.resize(static_cast<std::size_t>(found));
    ASSERT_EQ(out, expected) << n << " words";
    // Words of no, few, many and all bits.
    const std::uint64_t word = generator();
    const std::uint64_t kinds[] = {0, word & generator() & generator() & generator(), word,
                                   ~std::uint64_t{0}, std::uint64_t{1} << 63U};
    words.push_back(kinds[n % 5]);
  }
}

TEST_P(SimdKeys, LookUpTakesEveryEntryByItsCode) {
  std::vector<float> table(65536);
  for (std::size_t m = 0; m < table.size(); ++m) {
    table[m] = static_cast<float>(m) - 1000.5F;
  }
  std::mt19937 generator(6);
  std::vector<std::uint16_t> codes{65535, 0};
  for (std::int64_t n = 0; n <= kLongest; ++n) {
    std::vector<float> out(static_cast<std::size_t>(n + 1), 7.0F);
    ops.look_up(table.data(), codes.data(), n, out.data());
    for (std::int64_t i = 0; i < n; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      ASSERT_EQ(out[slot], table[codes[slot]]);
    }
    ASSERT_EQ(out.back(), 7.0F);
    codes.push_back(static_cast<std::uint16_t>(generator()));
  }
}

std::vector<const SimdOps*> supported() {
  const SimdList list = simd_supported();
  return {list.items, list.items + list.count};
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, SimdKeys, testing::ValuesIn(supported()),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace kvsieve::kernels
