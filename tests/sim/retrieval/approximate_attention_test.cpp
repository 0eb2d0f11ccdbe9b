#include "replay/approximate_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace kvsieve::sim {
namespace {

TEST(ApproximateAttention, MixesTrueScoresOfSinksAndWindowWithTheScorers) {
  // Token 0 is a sink, 3 and 4 are the window.
  const std::vector<float> exact{1.0F, 50.0F, 50.0F, 2.0F, 0.5F};
  const std::vector<float> scores{9.0F, 0.0F, 3.0F, 9.0F, 9.0F};
  const ApproximateAttention attention({1, 3}, scores, exact);
  const double total =
      std::exp(1.0) + std::exp(2.0) + std::exp(0.5) + std::exp(0.0) + std::exp(3.0);
  EXPECT_NEAR(attention.log_sum, std::log(total), 1e-12);
  EXPECT_NEAR(attention.resident, (std::exp(1.0) + std::exp(2.0) + std::exp(0.5)) / total, 1e-12);
  EXPECT_NEAR(attention.share(3.0F), std::exp(3.0) / total, 1e-12);
}

TEST(ApproximateAttention, LargeScoresDoNotOverflow) {
  const std::vector<float> exact{1000.0F, 0.0F, 998.0F};
  const std::vector<float> scores{0.0F, 1001.0F, 0.0F};
  const ApproximateAttention attention({1, 2}, scores, exact);
  EXPECT_NEAR(attention.share(1001.0F) + attention.resident, 1.0, 1e-12);
  EXPECT_GT(attention.share(1001.0F), 0.7);
}

TEST(ApproximateAttention, WithoutEligibleTokensEverythingIsResident) {
  const std::vector<float> exact{1.0F, 2.0F};
  EXPECT_EQ(ApproximateAttention({0, 0}, exact, exact).resident, 1.0);
}

}  // namespace
}  // namespace kvsieve::sim
