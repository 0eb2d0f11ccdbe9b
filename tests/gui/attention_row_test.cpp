#include "core/attention_row.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/dropped_mass.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/rope.h"
#include "sample_runs.h"
#include "sim/eviction/trace_fixture.h"

namespace kvsieve::gui {
namespace {

std::vector<double> rotated(const traces::TensorView& tensor, std::int64_t head, std::int64_t row,
                            std::int64_t position, const traces::RopeSpec& spec) {
  const kernels::HeadSlice slice(tensor, head);
  std::vector<float> loaded(static_cast<std::size_t>(slice.cols));
  kernels::load_rows(slice, row, {loaded.data(), 1, slice.cols});
  std::vector<double> x(loaded.begin(), loaded.end());
  const std::vector<double> frequencies = traces::rope_frequencies(spec);
  for (std::size_t pair = 0; pair < frequencies.size(); ++pair) {
    const bool half = spec.pairing == traces::RopePairing::kHalf;
    const std::size_t a = half ? pair : 2 * pair;
    const std::size_t b = half ? pair + frequencies.size() : 2 * pair + 1;
    const double angle = frequencies[pair] * static_cast<double>(position);
    const double cos = spec.attention_factor * std::cos(angle);
    const double sin = spec.attention_factor * std::sin(angle);
    const double first = x[a];
    x[a] = first * cos - x[b] * sin;
    x[b] = first * sin + x[b] * cos;
  }
  return x;
}

/// The definition, in double precision: [T].
std::vector<double> reference(const traces::Trace& trace, std::int64_t layer_index,
                              std::int64_t q_head, std::int64_t query) {
  const traces::TraceLayer layer = trace.layer(*trace.find_layer(layer_index));
  const traces::AttentionSpec& attention = layer.spec.attention;
  const std::int64_t position = trace.query_positions()[static_cast<std::size_t>(query)];
  const auto q = rotated(layer.q, q_head, query, position, layer.spec.rope);
  const std::int64_t kv_head = q_head / trace.header().model.group();
  std::vector<double> weights(static_cast<std::size_t>(trace.header().total_tokens()), 0.0);
  double sum = 0.0;
  for (std::int64_t j = 0; j <= position; ++j) {
    if (attention.sliding_window && position - j >= *attention.sliding_window) {
      continue;
    }
    const auto k = rotated(layer.k, kv_head, j, j, layer.spec.rope);
    double score = attention.scale * std::inner_product(q.begin(), q.end(), k.begin(), 0.0);
    if (attention.softcap) {
      score = *attention.softcap * std::tanh(score / *attention.softcap);
    }
    weights[static_cast<std::size_t>(j)] = std::exp(score);
    sum += weights[static_cast<std::size_t>(j)];
  }
  for (double& weight : weights) {
    weight /= sum;
  }
  return weights;
}

void expect_near(const std::vector<float>& row, const std::vector<double>& expected) {
  ASSERT_EQ(row.size(), expected.size());
  for (std::size_t j = 0; j < row.size(); ++j) {
    ASSERT_NEAR(row[j], expected[j], 2e-6 + 1e-4 * expected[j]) << "position " << j;
  }
}

TEST(AttentionRow, IsTheSoftmaxAtTruePositions) {
  const traces::Trace& trace = *tests::sample_trace();
  const AttentionRow head(trace, {4, 1}, false);
  for (const auto& [q_head, query] :
       {std::pair(3, 0), std::pair(4, 127), std::pair(5, 128), std::pair(3, 191)}) {
    SCOPED_TRACE(query);
    expect_near(head.of_query(q_head, query), reference(trace, 4, q_head, query));
  }
}

TEST(AttentionRow, HonoursSoftcapSlidingWindowAndPairing) {
  sim::tests::TraceShape shape;
  shape.softcap = 2.0;
  shape.sliding_windows = {{1, 20}};
  shape.rope.pairing = traces::RopePairing::kInterleaved;
  const sim::tests::TraceFixture fixture(shape);
  const traces::Trace& trace = fixture.trace();
  for (const std::int64_t layer : {0, 1}) {
    const AttentionRow head(trace, {layer, 1}, false);
    for (const std::int64_t query : {0, 40, 50}) {
      SCOPED_TRACE(query);
      expect_near(head.of_query(3, query), reference(trace, layer, 3, query));
    }
    // Means over queries that see different tokens still sum to 1.
    const auto mean = head.mean_over_steps(JobControl::detached());
    EXPECT_NEAR(std::accumulate(mean.begin(), mean.end(), 0.0), 1.0, 1e-5);
  }
}

TEST(AttentionRow, OfAUnitIsTheMeanOfItsQueryHeads) {
  const traces::Trace& trace = *tests::sample_trace();
  const AttentionRow group(trace, {4, 2}, false);
  const std::vector<float> mean = group.of_step(7);
  std::vector<double> expected(mean.size(), 0.0);
  for (const std::int64_t q_head : {6, 7, 8}) {
    const auto row = reference(trace, 4, q_head, trace.prompt_queries() + 7);
    for (std::size_t j = 0; j < row.size(); ++j) {
      expected[j] += row[j] / 3.0;
    }
  }
  expect_near(mean, expected);
  const AttentionRow single(trace, {4, 7}, true);
  expect_near(single.of_step(7), reference(trace, 4, 7, trace.prompt_queries() + 7));
  EXPECT_TRUE(group.of_step(64).empty());
}

TEST(AttentionRow, DroppedMassIsTheRunsEvictedMass) {
  const traces::Trace& trace = *tests::sample_trace();
  for (const auto granularity : {sim::Granularity::kKvHead, sim::Granularity::kQueryHead}) {
    const auto run = tests::sample_run("ada-snapkv", "10%", granularity);
    const bool query_heads = granularity == sim::Granularity::kQueryHead;
    for (const std::int64_t head :
         query_heads ? std::vector<std::int64_t>{0, 5} : std::vector<std::int64_t>{0, 1, 2}) {
      const sim::Node& node = tests::head_node(*run, 4, head);
      const auto kept = sim::kept_runs(node, trace.header().prompt_tokens);
      const AttentionRow row(trace, {4, head}, query_heads);
      const double mass = mass_of(row.mean_over_steps(JobControl::detached()),
                                  dropped_runs(kept, trace.header().prompt_tokens));
      EXPECT_NEAR(mass, *node.number("evicted_mass"), 1e-3);
    }
  }
}

TEST(AttentionRow, ScoresAreThoseThatTheMethodRankedBy) {
  const traces::Trace& trace = *tests::sample_trace();
  const std::int64_t prompt = trace.header().prompt_tokens;
  struct Case {
    const char* preset;
    sim::Granularity granularity;
  };
  for (const Case& one :
       {Case{"snapkv", sim::Granularity::kKvHead}, Case{"snapkv", sim::Granularity::kQueryHead},
        Case{"h2o", sim::Granularity::kKvHead}, Case{"tova", sim::Granularity::kKvHead},
        Case{"knorm", sim::Granularity::kKvHead},
        Case{"streaming-llm", sim::Granularity::kKvHead}}) {
    SCOPED_TRACE(one.preset);
    const auto run = tests::sample_run(one.preset, "10%", one.granularity);
    const auto recipe = score_recipe(run->view());
    ASSERT_TRUE(recipe);
    const AttentionRow row(trace, {4, 1}, one.granularity == sim::Granularity::kQueryHead);
    const auto scores = row.scores(*recipe, JobControl::detached());
    ASSERT_EQ(static_cast<std::int64_t>(scores.size()), prompt - recipe->window);
    const auto kept = sim::kept_runs(tests::head_node(*run, 4, 1), prompt);
    const std::int64_t sinks = run->view().method.integer_or("sinks", 0);
    float least_kept = 1e30F;
    float most_dropped = -1e30F;
    for (const sim::TokenRun& range : kept) {
      for (auto j = std::max(range.begin, sinks); j < range.end && j < prompt - recipe->window;
           ++j) {
        least_kept = std::min(least_kept, scores[static_cast<std::size_t>(j)]);
      }
    }
    for (const sim::TokenRun& range : dropped_runs(kept, prompt)) {
      for (auto j = range.begin; j < range.end; ++j) {
        most_dropped = std::max(most_dropped, scores[static_cast<std::size_t>(j)]);
      }
    }
    EXPECT_LT(most_dropped, 1e30F);
    EXPECT_GE(least_kept, most_dropped);
  }
  EXPECT_FALSE(score_recipe(tests::sample_run("random", "10%")->view()));
}

TEST(AttentionRow, NamesWhatTheTraceLacks) {
  const traces::Trace& trace = *tests::sample_trace();
  EXPECT_THROW(AttentionRow(trace, {1, 0}, false), Error);
  EXPECT_THROW(AttentionRow(trace, {4, 3}, false), Error);
  EXPECT_NO_THROW(AttentionRow(trace, {4, 8}, true));
}

}  // namespace
}  // namespace kvsieve::gui
