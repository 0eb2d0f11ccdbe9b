#include "replay/step_selector.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/retrieval/retrieval_expectations.h"

namespace kvsieve::sim::tests {
namespace {

using kernels::TokenRange;
using Tokens = std::vector<std::int32_t>;

/// Picks with nothing but codes, codewords and queries, before the replay reads a score: what a
/// device would be given.
class OutsideSelector : public StepSelector {
 public:
  OutsideSelector(const RetrievalOptions& options, std::int64_t steps)
      : m_options(options), m_steps(steps) {}

  void begin_layer(const SelectorLayer& layer) override {
    ++m_layers;
    m_sets.clear();
    for (const SelectorHead& head : layer.heads) {
      const std::int64_t d = head.far_queries.cols;
      std::vector<float> word(static_cast<std::size_t>(d));
      for (std::int64_t row = 0; row < head.far_queries.rows; ++row) {
        const std::int64_t step = row % m_steps;
        const auto q_head = static_cast<std::int64_t>(m_sets.size()) / m_steps;
        const auto heads = static_cast<std::int64_t>(layer.tops.size()) / m_steps;
        const std::int64_t i = layer.first_position + step;
        std::vector<std::pair<double, std::int32_t>> ranked;
        for (std::int64_t j = m_options.sinks; j <= i - m_options.window; ++j) {
          head.codes->codewords.copy(head.codes->codes[static_cast<std::size_t>(j)], word);
          double score = 0.0;
          for (std::int64_t t = 0; t < d; ++t) {
            score += static_cast<double>(head.far_queries.row(row)[static_cast<std::size_t>(t)]) *
                     word[static_cast<std::size_t>(t)];
          }
          ranked.emplace_back(-score, -static_cast<std::int32_t>(j));
        }
        std::sort(ranked.begin(), ranked.end());
        Tokens& set = m_sets.emplace_back();
        const std::int64_t top = layer.tops[static_cast<std::size_t>(step * heads + q_head)];
        for (std::int64_t k = 0; k < top; ++k) {
          set.push_back(-ranked[static_cast<std::size_t>(k)].second);
        }
        std::sort(set.begin(), set.end());
      }
    }
  }

  void select(const SelectorQuery& query, Tokens& chosen) const override {
    chosen = m_sets[static_cast<std::size_t>(query.q_head * m_steps + query.step)];
  }

  [[nodiscard]] int layers() const { return m_layers; }

 private:
  const RetrievalOptions& m_options;
  std::int64_t m_steps;
  int m_layers = 0;
  std::vector<Tokens> m_sets;  // [Hq * m]
};

/// The oldest eligible tokens, or none.
class OldestSelector : public StepSelector {
 public:
  explicit OldestSelector(std::int64_t count) : m_count(count) {}
  void select(const SelectorQuery& query, Tokens& chosen) const override {
    chosen.clear();
    for (std::int64_t j = 0; j < std::min(m_count, query.top); ++j) {
      chosen.push_back(static_cast<std::int32_t>(query.eligible.begin + j));
    }
  }

 private:
  std::int64_t m_count;
};

TEST(StepSelector, TokensPickedOutsideAreMeasuredAsThoseOfTheReplay) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("a2ats", "10%");
  options.hot_buffer = 20;
  options.codebook = codebook_for(fixture.trace(), options.scorer, 16);
  OutsideSelector selector(options, 11);
  const RetrievalResult outside = replay_selections(fixture.trace(), options, selector);
  EXPECT_EQ(selector.layers(), 2);
  expect_identical(replay_retrieval(fixture.trace(), options), outside);
  expect_matches_reference(fixture.trace(), outside);
}

TEST(StepSelector, WhateverWasPickedIsMeasured) {
  const TraceFixture fixture(small_shape());
  const RetrievalOptions options = small_options("exact-topk", "10%");
  OldestSelector three(3);
  const RetrievalResult result = replay_selections(fixture.trace(), options, three);
  for (const HeadStep& step : result.layers[0].heads[0].steps) {
    EXPECT_EQ(step.selected, 3.0);
    EXPECT_EQ(step.union_tokens, 3);  // every head of the group picks the same
    EXPECT_LE(step.recall, 1.0);
  }
  EXPECT_EQ(result.summary.overlap, 1.0);
  EXPECT_LT(*result.summary.recall, 0.5);
  OldestSelector none(0);
  const RetrievalResult nothing = replay_selections(fixture.trace(), options, none);
  EXPECT_FALSE(nothing.summary.recall);
  EXPECT_EQ(nothing.loss.l1_loss,
            replay(fixture.trace(), small_options("streaming-llm", "10%")).loss.l1_loss);
}

}  // namespace
}  // namespace kvsieve::sim::tests
