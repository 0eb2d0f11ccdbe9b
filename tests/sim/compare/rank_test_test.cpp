#include "kvsieve/sim/rank_test.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::sim {
namespace {

using Sample = std::vector<double>;

/// Two samples without ties in which U has this value.
std::pair<Sample, Sample> samples_with_u(std::size_t m, std::size_t n, std::size_t u) {
  Sample first(m);
  std::iota(first.begin(), first.end(), 1.0);
  Sample second;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t above = std::min(u, m);  // values of the first that it lies above
    u -= above;
    second.push_back(static_cast<double>(above) + 0.5 + 0.001 * static_cast<double>(i));
  }
  return {first, second};
}

TEST(RankTest, PublishedExamples) {
  // scipy.stats.mannwhitneyu's documentation: ages at diagnosis of type II diabetes.
  const RankTest ages = rank_test(Sample{20, 11, 17, 12}, Sample{19, 22, 16, 29, 24});
  EXPECT_EQ(ages.u, 17.0);
  EXPECT_NEAR(ages.p, 0.1111111111111111, 1e-12);
  EXPECT_TRUE(ages.exact);
  // Hollander and Wolfe's permeability constants, as in R's wilcox.test: W = 35, 0.1272 one-sided.
  const Sample at_term{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
  const Sample early{1.15, 0.88, 0.90, 0.74, 1.21};
  const RankTest permeability = rank_test(early, at_term);
  EXPECT_EQ(permeability.u, 35.0);
  EXPECT_NEAR(permeability.p, 2.0 * 0.1272, 1e-4);
}

TEST(RankTest, CriticalValuesOfPublishedTables) {
  // The largest U that is significant, two-sided, of samples of equal sizes.
  struct Row {
    std::size_t n;
    std::size_t at_5_percent;
    std::size_t at_1_percent;
  };
  for (const Row& row : {Row{5, 2, 0}, Row{6, 5, 2}, Row{7, 8, 4}, Row{8, 13, 7}, Row{9, 17, 11},
                         Row{10, 23, 16}, Row{12, 37, 27}, Row{15, 64, 51}, Row{20, 127, 105}}) {
    for (const auto& [critical, alpha] :
         {std::pair{row.at_5_percent, 0.05}, std::pair{row.at_1_percent, 0.01}}) {
      const auto [first, second] = samples_with_u(row.n, row.n, critical);
      EXPECT_EQ(rank_test(first, second).u, static_cast<double>(critical));
      EXPECT_LE(rank_test(first, second).p, alpha) << row.n;
      const auto [other, next] = samples_with_u(row.n, row.n, critical + 1);
      EXPECT_GT(rank_test(other, next).p, alpha) << row.n;
    }
  }
}

TEST(RankTest, CountsTiesExactly) {
  // Counted over all 126 arrangements by an independent program.
  EXPECT_NEAR(rank_test(Sample{1.1, 2.2, 2.2, 3.0}, Sample{2.2, 3.3, 4.4, 4.4, 5.0}).p, 6.0 / 126.0,
              1e-12);
  EXPECT_EQ(rank_test(Sample{1.1, 2.2, 2.2, 3.0}, Sample{2.2, 3.3, 4.4, 4.4, 5.0}).u, 18.0);
  EXPECT_NEAR(rank_test(Sample{3, 3, 3, 3}, Sample{3, 3, 4, 4, 4}).p, 21.0 / 126.0, 1e-12);
  EXPECT_EQ(rank_test(Sample{2, 2, 2}, Sample{2, 2, 2}).p, 1.0);
}

TEST(RankTest, SidesAndOrderDoNotMatter) {
  const Sample a{5, 1, 3, 9, 7};
  const Sample b{6, 8, 2, 10};
  const RankTest forward = rank_test(a, b);
  const RankTest backward = rank_test(b, a);
  EXPECT_EQ(forward.u + backward.u, 20.0);
  EXPECT_EQ(forward.p, backward.p);
}

TEST(RankTest, ApproximatesLargeSamples) {
  // 25 and 25 values, U = 425: z = (|425 - 312.5| - 0.5) / sqrt(625 * 51 / 12) = 2.17308.
  const auto [first, second] = samples_with_u(25, 25, 425);
  const RankTest test = rank_test(first, second);
  EXPECT_FALSE(test.exact);
  EXPECT_EQ(test.u, 425.0);
  EXPECT_NEAR(test.p, 0.029773, 2e-5);
  // Ties: 30 values of 2 kinds each, 20 against 10 of the larger.
  Sample few(30, 1.0);
  Sample many(30, 1.0);
  std::fill_n(few.begin(), 10, 2.0);
  std::fill_n(many.begin(), 20, 2.0);
  // U = 450 + 150, sigma^2 = 900 / 12 * (61 - 2 * (30^3 - 30) / (60 * 59)).
  const double sigma = std::sqrt(75.0 * (61.0 - 2.0 * (27000.0 - 30.0) / 3540.0));
  EXPECT_EQ(rank_test(few, many).u, 600.0);
  EXPECT_NEAR(rank_test(few, many).p, std::erfc(149.5 / sigma / std::sqrt(2.0)), 1e-12);
  EXPECT_EQ(rank_test(Sample(50, 3.0), Sample(50, 3.0)).p, 1.0);
}

TEST(RankTest, ExactAndApproximateAgreeWhereTheyMeet) {
  kernels::CounterRandom random(7);
  for (int i = 0; i < 20; ++i) {
    Sample small(20);
    Sample other(20);
    for (double& value : small) {
      value = random.uniform();
    }
    for (double& value : other) {
      value = random.uniform() + 0.2;
    }
    const double exact = rank_test(small, other).p;
    Sample one_more = other;
    one_more.push_back(median_of(other));
    EXPECT_NEAR(rank_test(small, one_more).p, exact, 0.03 + 0.2 * exact);
  }
}

TEST(RankTest, HoldsItsLevel) {
  // Of samples of one distribution with ties about 5 % have p <= 5 %, and never many more.
  kernels::CounterRandom random(11);
  int rejected = 0;
  constexpr int kTrials = 2000;
  for (int i = 0; i < kTrials; ++i) {
    Sample a(8);
    Sample b(9);
    for (Sample* sample : {&a, &b}) {
      for (double& value : *sample) {
        value = std::floor(20.0 * random.uniform());
      }
    }
    rejected += rank_test(a, b).p <= 0.05 ? 1 : 0;
  }
  EXPECT_LT(rejected, 0.065 * kTrials);
  EXPECT_GT(rejected, 0.03 * kTrials);
}

TEST(RankTest, InflatedVariance) {
  const auto [first, second] = samples_with_u(25, 25, 425);
  // z = 112 / sqrt(4 * 625 * 51 / 12).
  EXPECT_NEAR(rank_test(first, second, 4.0).p, 0.277231, 2e-6);
  const auto [few, other] = samples_with_u(8, 8, 4);
  EXPECT_GT(rank_test(few, other, 4.0).p, rank_test(few, other).p);
  EXPECT_LT(shift_between(first, second, 0.95, 4.0).low, shift_between(first, second, 0.95).low);
}

TEST(RankTest, OnlyTheTellingRanksCount) {
  // Scores 1 2 3 and 3 3 3: of 20 ways to choose 3 of them 4 sum up to 9 and 4 to 6, as far
  // from 7.5.
  const Sample first{1, 2, 3};
  EXPECT_NEAR(rank_test(first, Sample{4, 5, 6}, 1.0, 0.5).p, 0.4, 1e-12);
  EXPECT_NEAR(rank_test(first, Sample{4, 5, 6}).p, 0.1, 1e-12);
  // How large the others are does not matter.
  const Sample second{1.5, 2.5, 9, 10};
  EXPECT_EQ(rank_test(first, second, 1.0, 0.5).p,
            rank_test(first, Sample{1.5, 2.5, 100, 3.5}, 1.0, 0.5).p);
  EXPECT_EQ(shift_between(first, second, 0.5, 1.0, 0.5).estimate,
            shift_between(first, Sample{1.5, 2.5, 900, 800}, 0.5, 1.0, 0.5).estimate);
}

TEST(RankTest, HoldsItsLevelWithFewTellingRanks) {
  for (const std::size_t size : {std::size_t{15}, std::size_t{30}}) {  // exact and approximate
    kernels::CounterRandom random(17);
    int rejected = 0;
    constexpr int kTrials = 1000;
    for (int i = 0; i < kTrials; ++i) {
      Sample a(size);
      Sample b(size);
      for (Sample* sample : {&a, &b}) {
        for (double& value : *sample) {
          value = random.uniform() + (random.uniform() < 0.3 ? 5.0 * random.uniform() : 0.0);
        }
      }
      const bool is_rejected = rank_test(a, b, 1.0, 0.5).p <= 0.05;
      rejected += is_rejected ? 1 : 0;
      // The interval holds what the test does not reject.
      const Shift shift = shift_between(a, b, 0.95, 1.0, 0.5);
      EXPECT_EQ(is_rejected, shift.low > 0.0 || shift.high < 0.0) << i;
    }
    EXPECT_LT(rejected, 0.07 * kTrials) << size;
    EXPECT_GT(rejected, 0.03 * kTrials) << size;
  }
}

TEST(VarianceInflation, OfIndependentAndDependentValues) {
  kernels::CounterRandom random(5);
  int above = 0;
  for (int trial = 0; trial < 200; ++trial) {
    Sample values(40);
    for (double& value : values) {
      value = random.uniform();
    }
    above += variance_inflation(values) > 1.0 ? 1 : 0;
  }
  EXPECT_LE(above, 15);  // 2.5 % of 200 are 5
  // x_i = 0.8 x_{i-1} + noise: (1 + 0.8) / (1 - 0.8) = 9 in the long run.
  double sum = 0.0;
  for (int trial = 0; trial < 50; ++trial) {
    Sample values(400);
    double last = 0.0;
    for (double& value : values) {
      last = 0.8 * last + random.uniform() - 0.5;
      value = last;
    }
    sum += variance_inflation(values) / 50.0;
  }
  EXPECT_NEAR(sum, 9.0, 2.0);
  EXPECT_EQ(variance_inflation(Sample{1, 1, 1, 1}), 1.0);
  EXPECT_EQ(variance_inflation(Sample{}), 1.0);
}

TEST(RankTest, EmptySamplesSayNothing) {
  EXPECT_EQ(rank_test(Sample{}, Sample{1.0}).p, 1.0);
  EXPECT_EQ(least_p(0, 5), 1.0);
}

TEST(RankTest, LeastP) {
  EXPECT_NEAR(least_p(5, 5), 2.0 / 252.0, 1e-15);
  EXPECT_NEAR(least_p(3, 3), 2.0 / 20.0, 1e-15);
  EXPECT_EQ(least_p(1, 1), 1.0);
  const auto [first, second] = samples_with_u(6, 4, 24);
  EXPECT_NEAR(rank_test(first, second).p, least_p(6, 4), 1e-15);
}

TEST(Shift, PermeabilityConstants) {
  // Hollander and Wolfe: the estimate is 0.305; R's interval at 95 % is [-0.15, 0.76].
  const Sample early{1.15, 0.88, 0.90, 0.74, 1.21};
  const Sample at_term{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
  const Shift shift = shift_between(early, at_term, 0.95);
  EXPECT_NEAR(shift.estimate, 0.305, 1e-12);
  EXPECT_NEAR(shift.low, -0.15, 1e-12);
  EXPECT_NEAR(shift.high, 0.76, 1e-12);
}

TEST(Shift, TooFewValuesHaveNoBounds) {
  const Shift shift = shift_between(Sample{1, 2, 3}, Sample{2, 3, 4}, 0.99);
  EXPECT_EQ(shift.estimate, 1.0);
  EXPECT_EQ(shift.low, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(shift.high, std::numeric_limits<double>::infinity());
}

TEST(Shift, CoversTheTruth) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{30}}) {  // exact and approximate
    kernels::CounterRandom random(3);
    int covered = 0;
    constexpr int kTrials = 500;
    for (int i = 0; i < kTrials; ++i) {
      Sample a(size);
      Sample b(size);
      for (std::size_t k = 0; k < size; ++k) {
        a[k] = random.uniform() * random.uniform();
        b[k] = random.uniform() * random.uniform() + 0.3;
      }
      const Shift shift = shift_between(a, b, 0.9);
      covered += shift.low <= 0.3 && 0.3 <= shift.high ? 1 : 0;
    }
    EXPECT_GE(covered, 0.86 * kTrials) << size;
    EXPECT_LE(covered, 0.95 * kTrials) << size;
  }
}

TEST(Holm, AdjustsStepwise) {
  const std::vector<double> adjusted = holm_adjusted(Sample{0.01, 0.04, 0.03, 0.005});
  EXPECT_NEAR(adjusted[3], 0.02, 1e-15);
  EXPECT_NEAR(adjusted[0], 0.03, 1e-15);
  EXPECT_NEAR(adjusted[2], 0.06, 1e-15);
  EXPECT_NEAR(adjusted[1], 0.06, 1e-15);
  EXPECT_TRUE(holm_adjusted(Sample{}).empty());
  EXPECT_EQ(holm_adjusted(Sample{0.9, 0.8})[0], 1.0);
}

/// Normal noise.
Sample scattered(std::size_t count, double deviation, kernels::CounterRandom& random) {
  Sample values;
  for (std::size_t i = 0; i < count; ++i) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random.uniform()));
    values.push_back(deviation * radius * std::cos(2.0 * std::numbers::pi * random.uniform()));
  }
  return values;
}

TEST(ShiftNoise, JoinsWhatEachSideScatters) {
  const Sample steady{5, 5, 5, 5};
  const Sample scattered{1, 2, 3, 4, 1000};
  const double alone = 1.2533 * robust_deviation(scattered) / std::sqrt(5.0);
  EXPECT_NEAR(shift_noise(steady, scattered), alone, 1e-12);
  EXPECT_NEAR(shift_noise(scattered, steady), alone, 1e-12);
  EXPECT_NEAR(shift_noise(scattered, scattered), std::sqrt(2.0) * alone, 1e-12);
  EXPECT_NEAR(shift_noise(steady, scattered, 4.0), 2.0 * alone, 1e-12);
  EXPECT_EQ(shift_noise(steady, steady), 0.0);
  // The shift itself plays no part.
  EXPECT_NEAR(shift_noise(steady, Sample{101, 102, 103, 104, 1100}), alone, 1e-12);
}

TEST(ShiftNoise, IsTheStandardErrorHoweverTheSidesScatter) {
  constexpr int kTrials = 4000;
  for (const auto& [first, second] :
       {std::pair{1.0, 1.0}, std::pair{1.0, 3.0}, std::pair{10.0, 1.0}}) {
    for (const auto& [m, n] :
         {std::pair<std::size_t, std::size_t>{5, 5}, {5, 20}, {10, 10}, {20, 20}, {40, 10}}) {
      kernels::CounterRandom random(23);
      double square = 0.0;
      double noise = 0.0;
      for (int i = 0; i < kTrials; ++i) {
        const Sample a = scattered(m, first, random);
        const Sample b = scattered(n, second, random);
        const double shift = median_of(b) - median_of(a);
        square += shift * shift / kTrials;
        noise += shift_noise(a, b) / kTrials;
      }
      EXPECT_GT(noise, 0.95 * std::sqrt(square))
          << first << " of " << m << ", " << second << " of " << n;
      EXPECT_LT(noise, 1.2 * std::sqrt(square))
          << first << " of " << m << ", " << second << " of " << n;
    }
  }
}

TEST(Statistics, TheRobustDeviationIsThatOfNormalNoise) {
  constexpr int kTrials = 10'000;
  for (const std::size_t count : {5U, 6U, 10U, 20U, 41U}) {
    kernels::CounterRandom random(29);
    double mean = 0.0;
    for (int i = 0; i < kTrials; ++i) {
      mean += robust_deviation(scattered(count, 2.0, random)) / kTrials;
    }
    EXPECT_NEAR(mean, 2.0, 0.08) << count;
  }
}

TEST(Statistics, MediansDeviationsAndQuantiles) {
  EXPECT_EQ(median_of({3, 1, 2}), 2.0);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
  EXPECT_TRUE(std::isnan(median_of({})));
  EXPECT_NEAR(robust_deviation(Sample{1, 2, 3, 4, 1000}), 1.4826 * 5.0 / 4.2, 1e-12);
  EXPECT_EQ(robust_deviation(Sample{1}), 0.0);
  EXPECT_NEAR(normal_quantile(0.99), 2.3263478740, 1e-9);
  EXPECT_NEAR(normal_quantile(0.025), -1.9599639845, 1e-9);
}

}  // namespace
}  // namespace kvsieve::sim
