#include "run/interleaving.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <vector>

namespace kvsieve::bench {
namespace {

TEST(Interleaving, BlocksAreSymmetricAndBothKindsOccur) {
  int old_first = 0;
  for (std::int64_t block = 0; block < 200; ++block) {
    const std::vector<Side> order = block_order(7, block);
    ASSERT_EQ(order.size(), kBlockRuns);
    EXPECT_EQ(order[0], order[3]);
    EXPECT_EQ(order[1], order[2]);
    EXPECT_NE(order[0], order[1]);
    old_first += order[0] == Side::kOld ? 1 : 0;
  }
  EXPECT_GT(old_first, 60);
  EXPECT_LT(old_first, 140);
}

TEST(Interleaving, TheSeedDecidesTheOrder) {
  const auto orders = [](std::uint64_t seed) {
    std::vector<std::vector<Side>> all;
    for (std::int64_t block = 0; block < 32; ++block) {
      all.push_back(block_order(seed, block));
    }
    return all;
  };
  EXPECT_EQ(orders(1), orders(1));
  EXPECT_NE(orders(1), orders(1000));
}

TEST(Interleaving, QuietBlocksCountInTheirOrder) {
  const std::vector<double> quiet{0.0, 0.049, 0.03, 0.01};
  EXPECT_EQ(counted_blocks(quiet, 3), (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Interleaving, DisturbedBlocksGiveWayToLaterOnes) {
  const std::vector<double> shares{0.0, 0.5, 0.02, 0.3, 0.0};
  EXPECT_EQ(counted_blocks(shares, 3), (std::vector<std::size_t>{0, 2, 4}));
  // Where all are needed, the least disturbed count.
  EXPECT_EQ(counted_blocks(shares, 4), (std::vector<std::size_t>{0, 2, 3, 4}));
  EXPECT_EQ(counted_blocks(shares, 9), (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST(Interleaving, WhatScattersIsNoisyAndADifferenceIsNot) {
  const auto around = [](double level, double width) {
    std::vector<double> seconds;
    for (std::size_t i = 0; i < 20; ++i) {
      seconds.push_back(level * (1.0 + width * static_cast<double>((i * 7) % 20) / 20.0));
    }
    return seconds;
  };
  EXPECT_FALSE(is_noisy(around(1e-4, 0.01), around(1e-4, 0.01)));
  EXPECT_FALSE(is_noisy(around(1e-4, 0.01), around(9e-4, 0.01)));
  EXPECT_TRUE(is_noisy(around(1e-4, 0.2), around(1e-4, 0.2)));
  EXPECT_TRUE(is_noisy(around(1e-4, 0.2), around(1e-4, 0.0)));
  EXPECT_TRUE(is_noisy(around(1e-4, 0.0), around(1e-4, 0.2)));
  // Phases: each time is like the one before.
  std::vector<double> phases = around(1e-4, 0.02);
  EXPECT_FALSE(is_noisy(phases, phases));
  std::sort(phases.begin(), phases.end());
  EXPECT_TRUE(is_noisy(phases, phases));
}

TEST(Interleaving, ExactPatternsFindTheirNameAlone) {
  const std::string name = "replay/method:a.b/budget:20%+(x)/n:1";
  const std::regex pattern(exact_pattern(name));
  EXPECT_TRUE(std::regex_search(name, pattern));
  EXPECT_FALSE(std::regex_search(name + "024", pattern));
  EXPECT_FALSE(std::regex_search("replay/method:aXb/budget:20%+(x)/n:1", pattern));
}

}  // namespace
}  // namespace kvsieve::bench
