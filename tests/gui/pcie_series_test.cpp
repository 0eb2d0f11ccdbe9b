#include "core/pcie_series.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/run_cost.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

using kernels::Placement;
using sim::Direction;
using sim::TransferPath;

std::shared_ptr<const Run> buffered_run() {
  return tests::retrieval_run("a2ats", {}, [](sim::RetrievalOptions& options) {
    options.hot_buffer = 80;
    options.placement = Placement::kFetchHotBuffer;
  });
}

const sim::LinkSpec& link() {
  static const sim::LinkSpec spec = sim::find_hardware("a100-sxm-80")->link;
  return spec;
}

TEST(PcieSeries, HeadsTogetherMoveTheRunsBytes) {
  const auto run = buffered_run();
  const std::vector<HeadId> heads{{0, 0}, {0, 1}, {0, 2}, {4, 0}, {4, 1}, {4, 2}};
  ASSERT_EQ(placements_of(run->view()).size(), 4U);
  for (const Placement placement : placements_of(run->view())) {
    SCOPED_TRACE(kernels::name_of(placement));
    const auto all = traffic_by_step(run->view(), placement, {});
    const auto parts = traffic_by_step(run->view(), placement, heads);
    ASSERT_EQ(all.size(), 64U);
    for (std::size_t s = 0; s < all.size(); ++s) {
      EXPECT_DOUBLE_EQ(all[s]->to_gpu_bytes, parts[s]->to_gpu_bytes);
      EXPECT_DOUBLE_EQ(all[s]->to_host_bytes, parts[s]->to_host_bytes);
      // Two layers' messages are no head's own.
      EXPECT_DOUBLE_EQ(all[s]->pieces,
                       parts[s]->pieces + (placement == Placement::kCpuAttention ? 4.0 : 2.0));
    }
  }
}

TEST(PcieSeries, LayersAndHeadsAreTheDocuments) {
  const auto run = buffered_run();
  const auto& layer = run->document()["layers"][1];
  const sim::BarChart layers = bytes_by_group(run->view(), Placement::kFetchDma, {});
  ASSERT_EQ(layers.series.size(), 2U);
  EXPECT_EQ(layers.series[0].values[1],
            layer["pcie_per_step"]["fetch-dma"]["to_gpu_bytes"].get<double>());
  const std::vector<HeadId> head{{4, 0}};
  const sim::BarChart heads = pieces_by_group(run->view(), Placement::kFetchDma, head);
  EXPECT_EQ(heads.categories.size(), 3U);
  EXPECT_EQ(heads.series[0].values[2],
            layer["heads"][2]["pcie_per_step"]["fetch-dma"]["pieces"].get<double>());
}

TEST(PcieSeries, WithoutABufferItsPlacementIsAbsent) {
  const auto run = tests::retrieval_run("quest");
  EXPECT_EQ(placements_of(run->view()).size(), 3U);
  EXPECT_EQ(placement_of(run->view()), Placement::kFetchDma);
  EXPECT_TRUE(bytes_by_step(run->view(), Placement::kFetchHotBuffer, {}).series.empty());
  EXPECT_TRUE(bytes_by_step(run->view(), Placement::kFetchHotBuffer, std::vector<HeadId>{{4, 0}})
                  .series.empty());
  const auto eviction = tests::sample_run("ada-snapkv", "20%");
  EXPECT_TRUE(placements_of(eviction->view()).empty());
}

TEST(PcieSeries, PlacementsAreTimedAsTheCostModelDoes) {
  const auto run = tests::retrieval_run("a2ats");
  const std::vector<PlacementCost> costs = placement_costs(run->view(), link());
  ASSERT_EQ(costs.size(), 3U);
  for (const PlacementCost& cost : costs) {
    SCOPED_TRACE(kernels::name_of(cost.placement));
    const auto& document =
        run->document()["summary"]["pcie_per_step"][std::string(kernels::name_of(cost.placement))];
    EXPECT_NEAR(cost.traffic.bytes(), document["bytes"].get<double>(), 1e-6);
    EXPECT_GT(cost.to_host_us, 0.0);
    EXPECT_GT(cost.to_gpu_us, 0.0);
    EXPECT_LE(cost.to_gpu_gbps(), link().to_gpu.spec_gbps.value);
    EXPECT_EQ(cost.path.has_value(), cost.placement != Placement::kCpuAttention);
  }
  // The same model behind the run's cost, which has all 30 layers at the mean of their loads.
  double fetch_us = 0.0;
  for (const auto& stage : run->document()["cost"]["stages"]) {
    fetch_us += stage["stage"] == "fetch" ? stage["us"].get<double>() : 0.0;
  }
  EXPECT_NEAR(costs[1].to_gpu_us / 2.0, fetch_us / 30.0, 0.1 * fetch_us / 30.0);
}

TEST(PcieSeries, TheKneeIsWhereHalfOfTheRateIsReached) {
  const sim::TransferTimes times(link());
  for (const TransferPath path : {TransferPath::kDma, TransferPath::kBatchedDma,
                                  TransferPath::kKernel, TransferPath::kZeroCopy}) {
    SCOPED_TRACE(sim::name_of(path));
    const std::optional<double> knee = knee_bytes(link(), path, Direction::kToGpu);
    ASSERT_EQ(knee.has_value(), times.has(path, Direction::kToGpu));
    if (!knee) {
      continue;
    }
    const double best = link().to_gpu.path(path).back().gbps.value;
    const auto rate = [&](double piece) {
      return piece / times.transfer_us(path, Direction::kToGpu, piece, 1.0) * 1e-3;
    };
    EXPECT_GE(rate(*knee * 1.001), 0.5 * best);
    EXPECT_LT(rate(*knee * 0.999), 0.5 * best);
  }
  sim::LinkSpec bare;
  EXPECT_FALSE(knee_bytes(bare, TransferPath::kDma, Direction::kToGpu));
}

TEST(PcieSeries, AStepBetweenSegmentsCanBeTheKnee) {
  sim::LinkSpec spec;
  spec.to_gpu.paths[static_cast<std::size_t>(TransferPath::kBatchedDma)] = {
      {0, {.value = 0.5}, {.value = 8.0}}, {28672, {.value = 0.06}, {.value = 50.0}}};
  EXPECT_EQ(knee_bytes(spec, TransferPath::kBatchedDma, Direction::kToGpu), 28672.0);
}

TEST(PcieSeries, CurvesHoldTheRunsOwnPieces) {
  const auto run = tests::retrieval_run("a2ats");
  const std::vector<PlacementCost> costs = placement_costs(run->view(), link());
  const PointChart chart = link_curves(link(), costs, Placement::kFetchDma);
  EXPECT_TRUE(chart.x.log);
  EXPECT_EQ(chart.y.unit, sim::Unit::kGbps);
  std::size_t shown = 0;
  for (const PointChart::Mark& mark : chart.marks) {
    if (mark.strong) {
      ++shown;
      EXPECT_EQ(mark.label, "fetch-dma");
      EXPECT_EQ(mark.x, costs[1].piece_bytes());
      EXPECT_GE(mark.x, 256.0);  // a row of K and V
    }
  }
  EXPECT_EQ(shown, 1U);
  EXPECT_NE(knees_text(link()).find("dma "), std::string::npos);
}

TEST(PcieSeries, TotalsSayTheirOrigin) {
  const auto run = tests::retrieval_run("a2ats");
  const sim::Table table = traffic_totals(run->view(), Placement::kFetchDma);
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[0][0].text, "a decode step of 2 replayed layers");
  EXPECT_EQ(table.rows[0][5].text, "modelled (ledger)");
  EXPECT_NE(table.rows[0][1].text.find("KiB"), std::string::npos);
  EXPECT_NE(table.rows[0][1].detail.find(" B"), std::string::npos);
  EXPECT_EQ(table.rows[2][5].text, "modelled (cost)");
  // Another placement was not costed.
  EXPECT_EQ(traffic_totals(run->view(), Placement::kCpuAttention).rows.size(), 2U);
}

}  // namespace
}  // namespace kvsieve::gui
