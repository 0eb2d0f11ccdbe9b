#include "kvsieve/sim/score_samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/traces/error.h"
#include "sim/retrieval/retrieval_expectations.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

/// Expects the samples of every KV head to give the figures of a replay.
void expect_figures_of_replay(const traces::Trace& trace, const RetrievalOptions& options) {
  const RetrievalResult result = replay_retrieval(trace, options);
  const std::int64_t group = trace.header().model.group();
  for (const LayerRetrieval& layer : result.layers) {
    for (const HeadRetrieval& head : layer.heads) {
      SCOPED_TRACE("layer " + std::to_string(layer.layer) + " head " + std::to_string(head.head));
      const HeadScores scores(trace, options, layer.layer, head.head);
      kernels::ScoreErrorSums error;
      for (std::size_t step = 0; step < head.steps.size(); ++step) {
        double recall = 0.0;
        double selected = 0.0;
        double selecting = 0.0;
        for (std::int64_t member = 0; member < group; ++member) {
          const ScoreSamples samples =
              scores.at(head.head * group + member, static_cast<std::int64_t>(step));
          ASSERT_EQ(samples.exact.size(), static_cast<std::size_t>(head.steps[step].eligible));
          ASSERT_EQ(samples.approximate.size(), samples.exact.size());
          error += kernels::score_error(samples.exact, samples.approximate);
          selected += static_cast<double>(samples.selected.size());
          if (const std::optional<double> share = recall_of(samples)) {
            recall += *share;
            selecting += 1.0;
          }
        }
        EXPECT_NEAR(selected / static_cast<double>(group), head.steps[step].selected, 1e-12);
        if (selecting > 0.0) {
          EXPECT_NEAR(recall / selecting, head.steps[step].recall, 1e-12) << "step " << step;
        }
      }
      ASSERT_EQ(scores.estimates(), head.figures.score_error.has_value());
      if (scores.estimates()) {
        const double mse = error.squared_error / static_cast<double>(error.tokens);
        EXPECT_NEAR(mse, head.figures.score_error->mse, 1e-6 * head.figures.score_error->mse);
      }
    }
  }
}

TEST(ScoreSamples, GiveTheFiguresOfTheReplayForEveryScorer) {
  const TraceFixture fixture(small_shape());
  for (const RetrievalOptions& preset : retrieval_presets()) {
    if (preset.scorer == RetrievalScorer::kNone) {
      continue;
    }
    SCOPED_TRACE(preset.name);
    RetrievalOptions options = small_options(preset.name, "10%");
    options.channels = 5;
    expect_figures_of_replay(fixture.trace(), options);
  }
}

TEST(ScoreSamples, GiveTheFiguresOfTheReplayWhereTheNumberOfTokensVaries) {
  TraceShape shape = small_shape();
  shape.softcap = 5.0;
  shape.decode_tokens = 5;
  const TraceFixture fixture(shape);
  for (const char* name : {"a2ats", "quest", "exact-topk-wrope"}) {
    SCOPED_TRACE(name);
    RetrievalOptions options = small_options(name, "10%");
    options.mass = kernels::Decimal::parse("60%");
    expect_figures_of_replay(fixture.trace(), options);
    options.mass.reset();
    options.budget = RetrievalBudget::kAdaptive;
    expect_figures_of_replay(fixture.trace(), options);
  }
}

TEST(ScoreSamples, CountTheCodesOfTheReplay) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("a2ats", "10%");
  options.codebook_dtype = traces::DType::kF16;
  options.center_keys = true;
  for (const bool given : {false, true}) {
    options.codebook = given ? codebook_for(fixture.trace(), options.scorer, 16, 3, true) : nullptr;
    const RetrievalResult result = replay_retrieval(fixture.trace(), options);
    for (const HeadRetrieval& head : result.layers[1].heads) {
      const HeadScores scores(fixture.trace(), options, 1, head.head);
      const std::span<const std::int64_t> counts = scores.code_counts();
      EXPECT_EQ(static_cast<std::int64_t>(counts.size()), result.codebook->info.codewords);
      EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}),
                fixture.trace().header().total_tokens());
      EXPECT_EQ(std::count(counts.begin(), counts.end(), 0), head.code_usage->dead_codes);
      EXPECT_EQ(*std::max_element(counts.begin(), counts.end()), head.code_usage->largest_bucket);
    }
  }
  EXPECT_TRUE(
      HeadScores(fixture.trace(), small_options("quest", "10%"), 0, 0).code_counts().empty());
}

TEST(ScoreSamples, NothingIsEligibleWhereSinksAndWindowCoverEverything) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("quest", "10%");
  options.window = 1000;
  const ScoreSamples samples = HeadScores(fixture.trace(), options, 0, 0).at(0, 0);
  EXPECT_TRUE(samples.exact.empty());
  EXPECT_TRUE(samples.approximate.empty());
  EXPECT_TRUE(samples.selected.empty());
  EXPECT_EQ(samples.top, 0);
  EXPECT_FALSE(recall_of(samples));
}

TEST(ScoreSamples, RefuseWhatIsNotThere) {
  TraceShape shape = small_shape();
  shape.layers = 3;
  shape.sliding_windows[1] = 32;
  const TraceFixture fixture(shape);
  const traces::Trace& trace = fixture.trace();
  const RetrievalOptions options = small_options("exact-topk", "10%");
  const auto build = [&](std::int64_t layer, std::int64_t head) {
    return [&, layer, head] { HeadScores(trace, options, layer, head); };
  };
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "was not captured", build(7, 0)));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "sliding window", build(1, 0)));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "KV head 2 is out of range", build(0, 2)));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "scores no token",
                         [&] { HeadScores(trace, small_options("streaming-llm", "10%"), 0, 0); }));
  const HeadScores scores(trace, options, 0, 1);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "is not of KV head 1", [&] { (void)scores.at(2, 0); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "step 11", [&] { (void)scores.at(3, 11); }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
