#include "core/score_scatter.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "kvsieve/traces/error.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

const HeadId kHead{4, 1};

RunScores scores_of(const Run& run) {
  return {tests::sample_trace(), run, kHead, JobControl::detached()};
}

/// Expects errors and recalls of the scatters to be those that the run's document has.
void expect_the_documents_figures(const Run& run) {
  const RunScores scores = scores_of(run);
  const auto& head = run.document()["layers"][1]["heads"][1];
  double squared = 0.0;
  double tokens = 0.0;
  for (std::int64_t step = 0; step < 64; ++step) {
    double recall = 0.0;
    for (std::int64_t q_head = 3; q_head < 6; ++q_head) {
      const ScoreScatter scatter = scores.at(q_head, step);
      ASSERT_TRUE(scatter.mse);
      ASSERT_TRUE(scatter.recall);
      squared += *scatter.mse * static_cast<double>(scatter.eligible);
      tokens += static_cast<double>(scatter.eligible);
      recall += *scatter.recall / 3.0;
    }
    EXPECT_NEAR(recall, head["steps"][static_cast<std::size_t>(step)]["recall"].get<double>(),
                1e-9);
  }
  const double mse = head["score_error"]["mse"].get<double>();
  EXPECT_NEAR(squared / tokens, mse, 1e-4 * mse);
}

TEST(ScoreScatter, HasTheErrorAndTheRecallOfTheRun) {
  for (const char* method : {"a2ats", "vq-post-rope", "pq"}) {
    SCOPED_TRACE(method);
    expect_the_documents_figures(*tests::retrieval_run(method));
  }
}

TEST(ScoreScatter, HasThoseOfDecodeStepsOnABackend) {
  expect_the_documents_figures(*tests::retrieval_run("a2ats", {.latency = true}));
}

TEST(ScoreScatter, MarksTheSelectedTokens) {
  const auto run = tests::retrieval_run("a2ats");
  const ScoreScatter scatter = scores_of(*run).at(4, 10);
  ASSERT_EQ(scatter.chart.clouds.size(), 2U);
  const PointChart::Cloud& selected = scatter.chart.clouds[1];
  EXPECT_TRUE(selected.keeps_all);
  EXPECT_EQ(static_cast<std::int64_t>(selected.ids.size()), scatter.selected);
  EXPECT_EQ(scatter.selected, 60);  // 3 % of 2,020 tokens
  EXPECT_EQ(scatter.eligible, 2020 - 8 - 64);
  // No token outside scores above the least inside.
  const float least = *std::min_element(selected.y.begin(), selected.y.end());
  const PointChart::Cloud& others = scatter.chart.clouds[0];
  EXPECT_LE(*std::max_element(others.y.begin(), others.y.end()), least);
  EXPECT_TRUE(scatter.chart.diagonal);
}

TEST(ScoreScatter, CountsOfCodewordsAreTheRuns) {
  const auto run = tests::retrieval_run("a2ats");
  const RunScores scores = scores_of(*run);
  const auto& usage = run->document()["layers"][1]["heads"][1]["code_usage"];
  const std::vector<std::int64_t>& counts = scores.code_counts();
  EXPECT_EQ(counts.front(), usage["largest_bucket"].get<std::int64_t>());
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 0), usage["dead_codes"].get<std::int64_t>());
  EXPECT_TRUE(std::is_sorted(counts.rbegin(), counts.rend()));
  const sim::LineChart chart = codeword_counts(counts);
  EXPECT_EQ(chart.x.size(), counts.size());
  EXPECT_DOUBLE_EQ(*chart.series[1].values[0], usage["mean_bucket"].get<double>());
  EXPECT_TRUE(codeword_counts({}).series.empty());
}

TEST(ScoreScatter, BoundsAndExactScoresHaveNoError) {
  EXPECT_FALSE(scores_of(*tests::retrieval_run("quest")).at(3, 0).mse);
  const auto run = tests::retrieval_run("exact-topk");
  const ScoreScatter scatter = scores_of(*run).at(3, 0);
  EXPECT_FALSE(scatter.mse);
  EXPECT_EQ(scatter.recall, 1.0);
}

TEST(ScoreScatter, AnotherTraceIsRefused) {
  const auto run = tests::retrieval_run("quest");
  EXPECT_NO_THROW(require_trace_of(*tests::sample_trace(), *run));
  nlohmann::ordered_json document = run->document();
  document["trace"]["hash"] = std::string(32, '0');
  EXPECT_THROW(require_trace_of(*tests::sample_trace(), gui::Run(document, "other")), Error);
}

}  // namespace
}  // namespace kvsieve::gui
