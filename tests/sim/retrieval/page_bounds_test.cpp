#include "replay/page_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace kvsieve::sim {
namespace {

std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(count);
  std::generate(values.begin(), values.end(), [&] { return draw(random); });
  return values;
}

TEST(PageBounds, AreTightUpperBoundsOfEveryKeyInThePage) {
  constexpr std::int64_t kDim = 24;
  constexpr std::int64_t kTokens = 100;  // six whole pages and four tokens
  const std::vector<float> keys = normal(kTokens * kDim, 1);
  const std::vector<float> queries = normal(3 * kDim, 2);
  kernels::HeadKeys packed;
  const traces::TensorView view{
      reinterpret_cast<const std::byte*>(keys.data()), traces::DType::kF32, {1, kTokens, kDim}};
  packed.load(kernels::HeadSlice(view, 0), nullptr);
  PageBounds bounds;
  bounds.load(packed);
  ASSERT_EQ(bounds.pages(), 6);
  traces::AttentionSpec attention;
  attention.scale = 0.25;
  std::vector<float> split;
  std::vector<float> scores(3 * 16);
  bounds.score({queries.data(), 3, kDim}, attention, split, {scores.data(), 3, 6, 16});
  for (std::int64_t r = 0; r < 3; ++r) {
    for (std::int64_t page = 0; page < 6; ++page) {
      double expected = 0.0;
      double best = -HUGE_VAL;
      for (std::int64_t t = 0; t < kDim; ++t) {
        double low = HUGE_VAL;
        double high = -HUGE_VAL;
        for (std::int64_t j = 16 * page; j < 16 * page + 16; ++j) {
          const double x = keys[static_cast<std::size_t>(j * kDim + t)];
          low = std::min(low, x);
          high = std::max(high, x);
        }
        const double q = queries[static_cast<std::size_t>(r * kDim + t)];
        expected += 0.25 * std::max(q * low, q * high);
      }
      for (std::int64_t j = 16 * page; j < 16 * page + 16; ++j) {
        double score = 0.0;
        for (std::int64_t t = 0; t < kDim; ++t) {
          score += 0.25 * queries[static_cast<std::size_t>(r * kDim + t)] *
                   keys[static_cast<std::size_t>(j * kDim + t)];
        }
        best = std::max(best, score);
      }
      const float score = scores[static_cast<std::size_t>(r * 16 + page)];
      EXPECT_NEAR(score, expected, 1e-5);
      EXPECT_GE(score, best - 1e-5);
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim
