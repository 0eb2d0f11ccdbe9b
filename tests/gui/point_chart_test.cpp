#include "core/point_chart.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace kvsieve::gui {
namespace {

PointChart small_chart() {
  PointChart chart;
  chart.x = {.name = "u"};
  chart.y = {.name = "v", .unit = sim::Unit::kBytes};
  chart.id_name = "token";
  chart.clouds = {{.name = "left", .ids = {3, 4, 5}, .x = {0, 1, 2}, .y = {0, 10, 20}},
                  {.name = "kept", .ids = {9}, .x = {2}, .y = {20}, .keeps_all = true}};
  chart.lines = {{.name = "line", .x = {0, 2}, .y = {5, 6}}};
  chart.marks = {{.name = "mark", .label = "m", .x = 1.0, .y = 4096.0}};
  return chart;
}

TEST(PointChart, RangesHoldEverythingWithAMargin) {
  PointChart chart = small_chart();
  const PointRanges ranges = ranges_of(chart);
  EXPECT_LT(ranges.x.low, 0.0);
  EXPECT_GT(ranges.x.high, 2.0);
  EXPECT_GT(ranges.y.high, 4096.0);
  chart.diagonal = true;
  EXPECT_EQ(ranges_of(chart).x.high, ranges_of(chart).y.high);
  const PointRanges empty = ranges_of(PointChart());
  EXPECT_EQ(empty.x.low, 0.0);
  EXPECT_EQ(empty.x.high, 1.0);
  PointChart log;
  log.x.log = true;
  log.lines = {{.name = "l", .x = {0.0, 1.0, 100.0}, .y = {1, 1, 1}}};
  EXPECT_GT(ranges_of(log).x.low, 0.5);  // 0 has no place on it
}

TEST(PointChart, DensityCountsEveryShownPointOnce) {
  PointChart::Cloud cloud;
  for (int i = 0; i < 1000; ++i) {
    cloud.x.push_back(static_cast<float>(i % 10));
    cloud.y.push_back(static_cast<float>(i / 100));
  }
  const AxisScale x{-0.5, 9.5, 0.0, 100.0, false};
  const AxisScale y{-0.5, 9.5, 100.0, 0.0, false};
  const std::vector<DensityCell> cells = density_of(cloud, x, y, 5.0);
  EXPECT_EQ(cells.size(), 100U);
  EXPECT_EQ(std::accumulate(cells.begin(), cells.end(), 0,
                            [](int sum, const DensityCell& cell) { return sum + cell.points; }),
            1000);
  // The highest row comes first: y runs upwards.
  EXPECT_EQ(cells.front().row, 1);
  EXPECT_EQ(cells.front().column, 1);
  EXPECT_EQ(cells.front().points, 10);
  const AxisScale half{-0.5, 4.5, 0.0, 100.0, false};
  EXPECT_EQ(density_of(cloud, half, y, 5.0).size(), 50U);
}

TEST(PointChart, NearestPrefersMarksThenKeptPoints) {
  const PointChart chart = small_chart();
  const AxisScale x{0.0, 2.0, 0.0, 200.0, false};
  const AxisScale y{0.0, 5000.0, 500.0, 0.0, false};
  using Kind = PointRef::Kind;
  EXPECT_EQ(nearest_point(chart, x, y, 100, 90, 10), (PointRef{Kind::kMark, 0, 0}));
  EXPECT_EQ(nearest_point(chart, x, y, 200, 498, 10), (PointRef{Kind::kCloud, 1, 0}));
  EXPECT_EQ(nearest_point(chart, x, y, 101, 499, 10), (PointRef{Kind::kCloud, 0, 1}));
  EXPECT_FALSE(nearest_point(chart, x, y, 50, 250, 10));
  EXPECT_EQ(id_of(chart, {Kind::kCloud, 0, 2}), 5);
  EXPECT_FALSE(id_of(chart, {Kind::kMark, 0, 0}));
}

TEST(PointChart, TextHasValueUnitAndExactNumber) {
  const PointChart chart = small_chart();
  EXPECT_EQ(text_of(chart, {PointRef::Kind::kMark, 0, 0}),
            QString("mark\nu: 1.000 (1.00000)\nv: 4.00 KiB (4,096 B)"));
  EXPECT_TRUE(text_of(chart, {PointRef::Kind::kCloud, 1, 0}).startsWith("token 9, kept"));
}

TEST(PointChart, TheTableKeepsWhatIsKeptAndBoundsTheRest) {
  PointChart chart = small_chart();
  chart.clouds[0] = {.name = "left"};
  for (int i = 0; i < 5000; ++i) {
    chart.clouds[0].ids.push_back(i);
    chart.clouds[0].x.push_back(0.0F);
    chart.clouds[0].y.push_back(static_cast<float>(i));
  }
  const sim::Table table = table_of(chart);
  EXPECT_EQ(table.rows.size(), 1U + 1U + 1000U + 2U);
  EXPECT_EQ(table.rows[0][1].text, "mark");
  EXPECT_EQ(table.rows[1][1].text, "kept");
  EXPECT_EQ(table.rows[2][0].text, "4,999");
  // The data for other programs are whole.
  EXPECT_EQ(csv_of(chart).count('\n'), 1 + 1 + 5000 + 1 + 2);
  EXPECT_TRUE(csv_of(chart).startsWith("token,what,\"u\",\"v (bytes)\"\n,\"mark\",1,4096\n"));
}

TEST(PointChart, AHundredThousandPointsAreThinnedFast) {
  PointChart::Cloud cloud;
  for (int i = 0; i < 131'072; ++i) {
    cloud.x.push_back(static_cast<float>((i * 7919LL) % 10007) / 10007.0F);
    cloud.y.push_back(static_cast<float>((i * 104729LL) % 10009) / 10009.0F);
  }
  const AxisScale x{0.0, 1.0, 0.0, 900.0, false};
  const AxisScale y{0.0, 1.0, 600.0, 0.0, false};
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<DensityCell> cells = density_of(cloud, x, y, 3.0);
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(cells.size(), 300U * 200U);
  EXPECT_LT(took, std::chrono::milliseconds(100));  // one is an interactive frame
  std::printf("[          ] %.1f ms for 131,072 points\n",
              std::chrono::duration<double, std::milli>(took).count());
}

}  // namespace
}  // namespace kvsieve::gui
