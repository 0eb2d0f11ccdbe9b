#include "core/roofline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/run_cost.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

Roofline of(const std::shared_ptr<const Run>& run) {
  return roofline_of(*run, *run_cost_request(*run));
}

TEST(Roof, BandwidthThenArithmetic) {
  const Roof roof{"tensor cores", 2000.0, 300'000.0};
  EXPECT_DOUBLE_EQ(roof.at(1.0), 2000.0);
  EXPECT_DOUBLE_EQ(roof.at(150.0), 300'000.0);
  EXPECT_DOUBLE_EQ(roof.at(1e4), 300'000.0);
}

/// c26: no modelled point is above the roof of where it runs, and there is one for each stage that
/// computes.
TEST(Roofline, ModelledPointsLieUnderTheirRoofs) {
  const Roofline roofline =
      of(tests::retrieval_run("a2ats", {}, [](sim::RetrievalOptions& options) {
        options.placement = sim::Placement::kCpuAttention;
        options.codewords = 32;
        options.max_iterations = 3;
      }));
  ASSERT_EQ(roofline.roofs.size(), 3U);
  std::set<std::string> stages;
  for (const RooflinePoint& point : roofline.points) {
    EXPECT_EQ(point.origin, "modelled");
    EXPECT_GT(point.gflops(), 0.0);
    const Roof& roof = roofline.roofs[point.on_host ? 2 : 0];
    EXPECT_LE(point.gflops(), roof.at(point.intensity()) * (1.0 + 1e-9)) << point.stage;
    stages.insert(point.stage);
  }
  for (const char* stage : {"qkv", "mlp", "output", "logits", "cpu-attention"}) {
    EXPECT_TRUE(stages.contains(stage)) << stage;
  }
  EXPECT_NE(std::find(roofline.left_out.begin(), roofline.left_out.end(), "sampling"),
            roofline.left_out.end());
  const PointChart chart = roofline_chart(roofline);
  EXPECT_EQ(chart.marks.size(), roofline.points.size());
  ASSERT_EQ(chart.lines.size(), 3U);
  EXPECT_TRUE(chart.x.log && chart.y.log);
  for (const PointChart::Line& line : chart.lines) {
    EXPECT_TRUE(std::is_sorted(line.x.begin(), line.x.end()));
  }
}

/// c26: stages that were measured are points of their own.
TEST(Roofline, MeasuredStagesAreThereToo) {
  const Roofline roofline =
      of(tests::retrieval_run("a2ats", {.latency = true}, [](sim::RetrievalOptions& options) {
        options.placement = sim::Placement::kCpuAttention;
        options.codewords = 32;
        options.max_iterations = 3;
      }));
  std::set<std::string> measured;
  for (const RooflinePoint& point : roofline.points) {
    if (point.origin == "measured on cpu") {
      measured.insert(point.stage);
      EXPECT_TRUE(point.on_host);
      EXPECT_GT(point.us, 0.0);
    }
  }
  EXPECT_TRUE(measured.contains("cpu-attention"));
  EXPECT_TRUE(measured.contains("encode"));
  EXPECT_FALSE(measured.contains("mlp"));  // the engine does not run it
}

TEST(Roofline, AnEvictionRunHasAttentionOnTheGpu) {
  const Roofline roofline = of(tests::eviction_run());
  const auto attention =
      std::find_if(roofline.points.begin(), roofline.points.end(),
                   [](const RooflinePoint& point) { return point.stage == "attention"; });
  ASSERT_NE(attention, roofline.points.end());
  // G = 3 query heads read one KV head of 2-byte values: 4 x 3 FLOP for 4 bytes.
  EXPECT_NEAR(attention->intensity(), 3.0, 1e-9);
}

}  // namespace
}  // namespace kvsieve::gui
