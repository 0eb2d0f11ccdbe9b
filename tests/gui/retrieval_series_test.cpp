#include "core/retrieval_series.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

std::vector<std::string> names_of(const std::vector<sim::Series>& series) {
  std::vector<std::string> names;
  for (const sim::Series& one : series) {
    names.push_back(one.name);
  }
  return names;
}

const std::vector<HeadId> kAllHeads{{0, 0}, {0, 1}, {0, 2}, {4, 0}, {4, 1}, {4, 2}};

TEST(RetrievalSeries, HeadsTogetherGiveTheRunsOwnMeans) {
  const auto run = tests::retrieval_run(
      "a2ats", {}, [](sim::RetrievalOptions& options) { options.hot_buffer = 80; });
  for (const StepQuantity quantity :
       {StepQuantity::kRecall, StepQuantity::kRecallVsWrope, StepQuantity::kCapturedMass,
        StepQuantity::kOverlap, StepQuantity::kUnionTokens, StepQuantity::kHotHitRate}) {
    const sim::Values all = step_values_of(run->view(), quantity, {});
    const sim::Values heads = step_values_of(run->view(), quantity, kAllHeads);
    ASSERT_EQ(all.size(), 64U);
    ASSERT_EQ(heads.size(), 64U);
    for (std::size_t s = 0; s < all.size(); ++s) {
      ASSERT_EQ(all[s].has_value(), heads[s].has_value()) << s;
      if (all[s]) {
        EXPECT_NEAR(*all[s], *heads[s], 1e-9);
      }
    }
  }
}

TEST(RetrievalSeries, OneHeadIsItsOwn) {
  const auto run = tests::retrieval_run("a2ats");
  const std::vector<HeadId> one{{4, 1}};
  const sim::Values recall = step_values_of(run->view(), StepQuantity::kRecall, one);
  const auto& step = run->document()["layers"][1]["heads"][1]["steps"][7];
  EXPECT_EQ(recall[7], step["recall"].get<double>());
  // Not recorded by head: absent, not zero.
  EXPECT_FALSE(sim::has_values(step_values_of(run->view(), StepQuantity::kRetrievedMass, one)));
  EXPECT_FALSE(sim::has_values(step_values_of(run->view(), StepQuantity::kOutputError, one)));
  EXPECT_TRUE(error_by_step(run->view(), one).series.empty());
}

TEST(RetrievalSeries, WhatAMethodLacksIsAbsent) {
  const auto quest = tests::retrieval_run("quest");
  EXPECT_EQ(names_of(found_by_step(quest->view(), {}).series),
            (std::vector<std::string>{"captured mass", "retrieved mass", "recall@K"}));
  EXPECT_EQ(names_of(reuse_by_step(quest->view(), {}).series),
            (std::vector<std::string>{"overlap with the step before"}));
  // Its scores are bounds, which have no error.
  EXPECT_TRUE(score_errors(quest->view(), {}).series.empty());
  EXPECT_EQ(names_of(score_errors(tests::retrieval_run("pq")->view(), {}).series),
            (std::vector<std::string>{"the scorer"}));
  EXPECT_TRUE(codeword_use(quest->view(), {}).series.empty());
  const auto streaming = tests::retrieval_run("streaming-llm");
  EXPECT_EQ(names_of(found_by_step(streaming->view(), {}).series),
            (std::vector<std::string>{"captured mass", "retrieved mass"}));
  EXPECT_TRUE(reuse_by_step(streaming->view(), {}).series.empty());
  EXPECT_TRUE(score_errors(streaming->view(), {}).series.empty());
  const auto exact = tests::retrieval_run("exact-topk");
  EXPECT_TRUE(score_errors(exact->view(), {}).series.empty());
  EXPECT_TRUE(stage_times(*tests::retrieval_run("quest", {.cost = false})).chart.series.empty());
}

TEST(RetrievalSeries, TheErrorHasItsPartsByLayerAndHead) {
  const auto run = tests::retrieval_run("a2ats");
  const sim::BarChart layers = score_errors(run->view(), {});
  EXPECT_EQ(names_of(layers.series), (std::vector<std::string>{"windowed RoPE", "codes", "both"}));
  EXPECT_EQ(layers.categories, (std::vector<std::string>{"0", "4"}));
  EXPECT_EQ(layers.series[1].values[1],
            run->document()["layers"][1]["vq_score_error"]["nmse"].get<double>());
  const std::vector<HeadId> head{{4, 2}};
  const sim::BarChart heads = score_errors(run->view(), head);
  EXPECT_EQ(heads.categories.size(), 3U);
  EXPECT_EQ(heads.series[0].values[2],
            run->document()["layers"][1]["heads"][2]["wrope_score_error"]["nmse"].get<double>());
}

TEST(RetrievalSeries, CodewordUseIsAShareOfTheCodebook) {
  const auto run = tests::retrieval_run("a2ats", {}, [](sim::RetrievalOptions& options) {
    options.codewords = 2048;  // more than half of the keys: some die
  });
  const sim::BarChart chart = codeword_use(run->view(), std::vector<HeadId>{{0, 1}});
  ASSERT_EQ(chart.series.size(), 2U);
  const auto& usage = run->document()["layers"][0]["heads"][1]["code_usage"];
  EXPECT_GT(usage["dead_codes"].get<double>(), 0.0);
  EXPECT_DOUBLE_EQ(*chart.series[1].values[1], usage["dead_codes"].get<double>() / 2048.0);
  EXPECT_DOUBLE_EQ(*chart.series[0].values[1], usage["entropy_bits"].get<double>() / 11.0);
}

TEST(RetrievalSeries, StagesAreMeasuredModelledOrBoth) {
  const auto placed = [](sim::RetrievalOptions& options) {
    options.placement = sim::Placement::kCpuAttention;
  };
  const StageTimes both = stage_times(*tests::retrieval_run("a2ats", {.latency = true}, placed));
  ASSERT_EQ(names_of(both.chart.series), (std::vector<std::string>{"measured", "modelled"}));
  EXPECT_EQ(both.modelled, 1U);
  EXPECT_EQ(both.measured_on, "cpu");
  EXPECT_EQ(both.modelled_on, "NVIDIA A100-SXM4-80GB");
  EXPECT_EQ(both.chart.categories.front(), "rotate");
  EXPECT_EQ(both.chart.categories.back(), "merge");
  const StageTimes modelled = stage_times(*tests::retrieval_run("a2ats", {}, placed));
  EXPECT_EQ(names_of(modelled.chart.series), (std::vector<std::string>{"modelled"}));
  EXPECT_EQ(modelled.modelled, 0U);
  const StageTimes measured =
      stage_times(*tests::retrieval_run("a2ats", {.latency = true, .cost = false}, placed));
  EXPECT_EQ(names_of(measured.chart.series), (std::vector<std::string>{"measured"}));
  EXPECT_FALSE(measured.modelled);
}

TEST(RetrievalSeries, StagesAreOfALayerAndBandsAroundTheModel) {
  const auto run = tests::retrieval_run("a2ats", {.latency = true});
  const StageTimes times = stage_times(*run);
  const auto& measured = run->document()["decode"]["latency"]["stages"][0];
  EXPECT_DOUBLE_EQ(*times.chart.series[0].values[0], measured["mean_us"].get<double>() / 2.0);
  std::size_t bands = 0;
  for (const auto& stage : run->document()["cost"]["stages"]) {
    const auto found = std::find(times.chart.categories.begin(), times.chart.categories.end(),
                                 stage["stage"].get<std::string>());
    if (found == times.chart.categories.end()) {
      continue;
    }
    const auto at = static_cast<std::size_t>(found - times.chart.categories.begin());
    const double us = stage["us"].get<double>() / 30.0;
    EXPECT_DOUBLE_EQ(*times.chart.series[1].values[at], us);
    ASSERT_EQ(stage.contains("error"), std::isfinite(times.low[at]));
    if (stage.contains("error")) {
      ++bands;
      EXPECT_LT(times.low[at], us);
      EXPECT_GT(times.high[at], us);
    }
  }
  EXPECT_GT(bands, 0U);
}

TEST(RetrievalSeries, HeadsAreRankedByRecall) {
  const auto run = tests::retrieval_run("a2ats");
  const HeadRanking ranking = heads_by_recall(run->view());
  ASSERT_EQ(ranking.heads.size(), 6U);
  ASSERT_EQ(ranking.table.rows.size(), 6U);
  std::vector<double> recalls;
  for (const HeadId& head : ranking.heads) {
    const auto& layer = run->document()["layers"][head.layer == 0 ? 0 : 1];
    recalls.push_back(layer["heads"][static_cast<std::size_t>(head.head)]["recall"].get<double>());
  }
  EXPECT_TRUE(std::is_sorted(recalls.rbegin(), recalls.rend()));
  EXPECT_EQ(ranking.table.columns[3].title, "recall@K");
  EXPECT_EQ(ranking.table.rows[0][3].text, sim::number_text(recalls[0], sim::Unit::kShare));
  for (const auto& row : ranking.table.rows) {
    EXPECT_EQ(row.size(), ranking.table.columns.size());
  }
}

}  // namespace
}  // namespace kvsieve::gui
