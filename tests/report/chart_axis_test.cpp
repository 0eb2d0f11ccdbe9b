#include "kvsieve/sim/chart_axis.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvsieve::sim {
namespace {

TEST(ChartAxis, EndsAtRoundTicks) {
  const Axis axis = round_axis(0.0, 0.187, 4, Unit::kShare);
  EXPECT_DOUBLE_EQ(axis.high, 0.20);
  EXPECT_DOUBLE_EQ(axis.step, 0.05);
  ASSERT_EQ(axis.ticks.size(), 5U);
  EXPECT_DOUBLE_EQ(axis.ticks[4], 0.20);
}

TEST(ChartAxis, KeepsAnEndThatIsRoundAlready) {
  EXPECT_DOUBLE_EQ(round_axis(0.0, 1.0, 4, Unit::kShare).high, 1.0);
  EXPECT_DOUBLE_EQ(round_axis(0.0, 0.6, 4, Unit::kShare).high, 0.6);
}

TEST(ChartAxis, BytesAreRoundInTheirUnit) {
  const Axis axis = round_axis(0.0, 111.0 * 1024.0, 4, Unit::kBytes);
  EXPECT_DOUBLE_EQ(std::fmod(axis.step, 1024.0), 0.0);
  EXPECT_DOUBLE_EQ(axis.high, 150.0 * 1024.0);
}

TEST(ChartAxis, FlatAndExtremeRangesStillHaveTicks) {
  for (const double high : {0.0, 5.0, 1e-300, 1e308}) {
    const Axis axis = round_axis(0.0, high, 4, Unit::kNumber);
    EXPECT_GE(axis.ticks.size(), 2U) << high;
    EXPECT_TRUE(std::isfinite(axis.high)) << high;
    EXPECT_GT(axis.high, axis.low) << high;
  }
}

TEST(ChartAxis, InnerTicksStayWithinTheRange) {
  const Axis axis = inner_axis(198.0, 752.0, 4, Unit::kTokens);
  EXPECT_EQ(axis.ticks, (std::vector<double>{200.0, 400.0, 600.0}));
  EXPECT_EQ(inner_axis(3.0, 3.0, 4, Unit::kTokens).ticks, std::vector<double>{3.0});
}

TEST(ChartAxis, PlacesAndClamps) {
  const Axis axis = round_axis(0.0, 10.0, 5, Unit::kNumber);
  EXPECT_DOUBLE_EQ(axis.place(5.0, 0.0, 100.0), 50.0);
  EXPECT_DOUBLE_EQ(axis.place(5.0, 100.0, 0.0), 50.0);
  EXPECT_DOUBLE_EQ(axis.place(99.0, 0.0, 100.0), 100.0);
}

TEST(ChartAxis, LabelsAreThinnedOut) {
  EXPECT_EQ(label_stride(8, 20.0, 400.0), 1U);
  EXPECT_EQ(label_stride(80, 20.0, 400.0), 4U);
  EXPECT_EQ(label_stride(0, 20.0, 400.0), 1U);
  EXPECT_EQ(label_stride(1'000'000, 20.0, 400.0), 50'000U);
}

}  // namespace
}  // namespace kvsieve::sim
