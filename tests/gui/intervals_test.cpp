#include "core/intervals.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

std::vector<Stretch> stretches(const Intervals& intervals) {
  std::vector<Stretch> all;
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    all.emplace_back(intervals.begin()[i], intervals.end()[i]);
  }
  return all;
}

TEST(Intervals, AUnionInAnyOrder) {
  const Intervals intervals({{5, 7}, {0, 2}, {1, 3}, {3, 4}, {6, 6.5}, {9, 9}, {11, 10}});
  EXPECT_EQ(stretches(intervals), (std::vector<Stretch>{{0, 4}, {5, 7}}));
  EXPECT_EQ(intervals.total(), 6.0);
  EXPECT_EQ(Intervals(std::vector<Stretch>()).total(), 0.0);
  EXPECT_EQ(Intervals().covered(0, 1), 0.0);
}

TEST(Intervals, CoveredTimeOfARange) {
  const Intervals intervals({{1, 3}, {5, 7}});
  struct Case {
    double low, high, covered;
  };
  for (const Case& c :
       {Case{0, 10, 4}, Case{0, 1, 0}, Case{0, 2, 1}, Case{2, 6, 2}, Case{3, 5, 0}, Case{4, 4, 0},
        Case{5.5, 6, 0.5}, Case{7, 9, 0}, Case{-5, -1, 0}, Case{6, 2, 0}}) {
    EXPECT_EQ(intervals.covered(c.low, c.high), c.covered) << c.low << " to " << c.high;
  }
}

TEST(Intervals, WithoutAndWith) {
  const Intervals a({{0, 10}, {20, 30}});
  EXPECT_EQ(stretches(a.without(Intervals({{-1, 1}, {2, 3}, {8, 22}, {25, 26}}))),
            (std::vector<Stretch>{{1, 2}, {3, 8}, {22, 25}, {26, 30}}));
  EXPECT_EQ(stretches(a.without(Intervals())), stretches(a));
  EXPECT_EQ(a.without(a).size(), 0U);
  EXPECT_EQ(stretches(a.with(Intervals({{5, 21}}))), (std::vector<Stretch>{{0, 30}}));
}

}  // namespace
}  // namespace kvsieve::gui
