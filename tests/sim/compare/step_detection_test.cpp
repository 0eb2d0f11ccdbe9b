#include "compare/step_detection.h"

#include <gtest/gtest.h>

#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::sim {
namespace {

std::vector<double> series(std::initializer_list<std::pair<double, int>> levels,
                           std::uint64_t seed) {
  kernels::CounterRandom random(seed);
  std::vector<double> values;
  for (const auto& [level, count] : levels) {
    for (int i = 0; i < count; ++i) {
      values.push_back(level * (0.98 + 0.04 * random.uniform()));
    }
  }
  return values;
}

TEST(StepDetection, FindsWhereTheLevelMoved) {
  const auto steps = find_steps(series({{100, 12}, {110, 10}}, 1), 0.01, 3, 5);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].first, 12U);
  EXPECT_NEAR(steps[0].after / steps[0].before, 1.1, 0.02);
  EXPECT_LT(steps[0].p, 0.01);
}

TEST(StepDetection, FindsSeveral) {
  const auto steps = find_steps(series({{100, 12}, {120, 12}, {90, 12}}, 2), 0.01, 3, 5);
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0].first, 12U);
  EXPECT_EQ(steps[1].first, 24U);
  EXPECT_NEAR(steps[1].before, 120, 2);
}

TEST(StepDetection, OneOutlierIsNoLevel) {
  std::vector<double> values = series({{100, 20}}, 3);
  values[9] = 300;
  EXPECT_TRUE(find_steps(values, 0.01, 3, 5).empty());
  values.back() = 300;
  EXPECT_TRUE(find_steps(values, 0.01, 3, 5).empty());
}

TEST(StepDetection, SteadySeriesHaveNoneMoreOftenThanAlpha) {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    found += find_steps(series({{100, 25}}, 1000 + seed), 0.05, 3, seed).empty() ? 0 : 1;
  }
  EXPECT_LE(found, 19);  // 10 expected, deviation 3.1
}

TEST(StepDetection, ShortSeriesAndEqualSeedsAgree) {
  EXPECT_TRUE(find_steps({}, 0.01, 3, 5).empty());
  EXPECT_TRUE(find_steps(std::vector<double>{1, 2, 3, 4, 5}, 0.01, 3, 5).empty());
  const std::vector<double> values = series({{100, 9}, {103, 9}}, 4);
  const auto once = find_steps(values, 0.5, 3, 9);
  const auto again = find_steps(values, 0.5, 3, 9);
  ASSERT_EQ(once.size(), again.size());
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].p, again[i].p);
  }
}

}  // namespace
}  // namespace kvsieve::sim
