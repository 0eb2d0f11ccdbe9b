#include "core/colour_range.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

TEST(ColourRange, ReachesFromTheLeastToTheLargestValue) {
  const sim::Values values{4.0, std::nullopt, 2.0, 10.0};
  const ColourRange range = colour_range({&values}, ColourCentre::kNone, 0.0, false);
  EXPECT_EQ(range.place(2.0), 0.0);
  EXPECT_EQ(range.place(6.0), 0.5);
  EXPECT_EQ(range.place(10.0), 1.0);
  EXPECT_EQ(range.place(99.0), 1.0);
  EXPECT_EQ(range.value_at(0.5), 6.0);
  EXPECT_FALSE(range.clips_low || range.clips_high);
}

TEST(ColourRange, SetsShareARange) {
  const sim::Values one{1.0, 2.0};
  const sim::Values two{5.0};
  EXPECT_EQ(colour_range({&one}, ColourCentre::kNone, 0.0, false).high, 2.0);
  EXPECT_EQ(colour_range({&one, &two}, ColourCentre::kNone, 0.0, false).high, 5.0);
}

TEST(ColourRange, ClipsPercentiles) {
  sim::Values values;
  for (int i = 0; i <= 100; ++i) {
    values.emplace_back(i == 100 ? 1e6 : i);
  }
  const ColourRange range = colour_range({&values}, ColourCentre::kNone, 0.05, false);
  EXPECT_EQ(range.low, 5.0);
  EXPECT_EQ(range.high, 95.0);
  EXPECT_TRUE(range.clips_low);
  EXPECT_TRUE(range.clips_high);
  EXPECT_EQ(range.place(1e6), 1.0);
}

TEST(ColourRange, LogarithmsStartAtTheLeastValueAboveZero) {
  const sim::Values values{0.0, 0.01, 1.0, 100.0};
  const ColourRange range = colour_range({&values}, ColourCentre::kNone, 0.0, true);
  EXPECT_TRUE(range.log);
  EXPECT_DOUBLE_EQ(range.place(0.01), 0.0);
  EXPECT_DOUBLE_EQ(range.place(1.0), 0.5);
  EXPECT_DOUBLE_EQ(range.place(100.0), 1.0);
  EXPECT_DOUBLE_EQ(range.place(0.0), 0.0);
  EXPECT_NEAR(range.value_at(0.5), 1.0, 1e-12);
  const sim::Values none{0.0, -1.0};
  EXPECT_FALSE(colour_range({&none}, ColourCentre::kNone, 0.0, true).log);
}

TEST(ColourRange, DifferencesHaveZeroInTheMiddle) {
  const sim::Values values{-1.0, 4.0};
  const ColourRange range = colour_range({&values}, ColourCentre::kZero, 0.0, false);
  EXPECT_EQ(range.place(0.0), 0.0);
  EXPECT_EQ(range.place(4.0), 1.0);
  EXPECT_EQ(range.place(-1.0), -0.25);
  EXPECT_EQ(range.value_at(-1.0), -4.0);
}

TEST(ColourRange, FactorsHaveOneInTheMiddle) {
  const sim::Values values{0.25, 2.0};
  const ColourRange range = colour_range({&values}, ColourCentre::kOne, 0.0, false);
  EXPECT_DOUBLE_EQ(range.high, 4.0);
  EXPECT_DOUBLE_EQ(range.place(1.0), 0.0);
  EXPECT_DOUBLE_EQ(range.place(2.0), 0.5);
  EXPECT_DOUBLE_EQ(range.place(0.25), -1.0);
  EXPECT_DOUBLE_EQ(range.place(0.0), -1.0);
  EXPECT_DOUBLE_EQ(range.value_at(-0.5), 0.5);
  const sim::Values same{1.0, 1.0};
  EXPECT_EQ(colour_range({&same}, ColourCentre::kOne, 0.0, false).place(1.0), 0.0);
  const sim::Values dropped{0.0, 1.5};
  EXPECT_EQ(colour_range({&dropped}, ColourCentre::kOne, 0.0, false).high, 1.5);
}

TEST(ColourRange, OfNothingAndOfOneValue) {
  const sim::Values none{std::nullopt};
  EXPECT_EQ(colour_range({&none}, ColourCentre::kNone, 0.0, false).high, 1.0);
  const sim::Values one{3.0};
  EXPECT_EQ(colour_range({&one}, ColourCentre::kNone, 0.05, false).place(3.0), 0.5);
}

}  // namespace
}  // namespace kvsieve::gui
