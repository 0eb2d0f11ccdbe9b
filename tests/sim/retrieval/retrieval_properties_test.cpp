#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kvsieve/sim/retrieval_replay.h"
#include "replay/step_selector.h"
#include "sim/retrieval/retrieval_expectations.h"
#include "sim/retrieval/retrieval_reference.h"

namespace kvsieve::sim::tests {
namespace {

TEST(RetrievalProperties, T18_WindowCoveringAllTokensMakesWindowedRopeExact) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("exact-topk-wrope", "10%");
  options.final_attention = FinalAttention::kWrope;
  options.window = 1000;
  const RetrievalResult result = replay(fixture.trace(), options);
  EXPECT_NEAR(result.summary.captured_mass, 1.0, 1e-5);
  EXPECT_LT(result.summary.output_error, 1e-5);
  EXPECT_FALSE(result.summary.recall);
  EXPECT_FALSE(result.summary.wrope_error);
}

TEST(RetrievalProperties, T19_DistanceOfASingleFarTokenScoresItExactly) {
  TraceShape shape = small_shape();
  shape.decode_tokens = 1;
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("exact-topk-wrope", "1");
  options.sinks = 0;
  options.window = 180;  // token 0 alone is far, at distance 180
  options.distance = 180;
  const RetrievalResult exact = replay(fixture.trace(), options);
  EXPECT_LT(exact.summary.wrope_error->mse, 1e-9);
  options.distance = 100;
  const RetrievalResult other = replay(fixture.trace(), options);
  EXPECT_GT(other.summary.wrope_error->mse, 1e-3);
}

TEST(RetrievalProperties, T22_TokensTurnFarStepByStep) {
  // Every step has one more far token; a class frozen at the first step would keep them near.
  TraceShape shape = small_shape();
  shape.layers = 1;
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("exact-topk-wrope", "100%");
  options.final_attention = FinalAttention::kWrope;
  const RetrievalResult result = replay(fixture.trace(), options);
  expect_matches_reference(fixture.trace(), result);
  const traces::TraceLayer layer = fixture.trace().layer(0);
  const std::vector<HeadStep>& steps = result.layers[0].heads[0].steps;
  for (std::size_t s = 1; s < steps.size(); ++s) {
    EXPECT_EQ(steps[s].eligible, steps[s - 1].eligible + 1);
  }
  // Negative control: the last step's attention with the class that tokens had at the first step.
  const std::vector<Vector> keys = rows_of(layer.k, 0);
  const std::vector<Vector> values = rows_of(layer.v, 0);
  const Vector q = rows_of(layer.q, 0).back();
  const std::int64_t last = 190;
  const auto attend = [&](std::int64_t class_position) {
    Vector output(values[0].size(), 0.0);
    double sum = 0.0;
    for (std::int64_t j = 0; j <= last; ++j) {
      const auto token = static_cast<std::size_t>(j);
      const bool near = class_position - j < options.window;
      const double score =
          score_of(rotated(q, near ? static_cast<double>(last - j) : 40.0, layer.spec.rope),
                   keys[token], layer.spec.attention);
      sum += std::exp(score);
      for (std::size_t t = 0; t < output.size(); ++t) {
        output[t] += std::exp(score) * values[token][t];
      }
    }
    for (double& x : output) {
      x /= sum;
    }
    return output;
  };
  const ReferenceRetrieval reference =
      reference_retrieval(fixture.trace(), 0, result.options, nullptr);
  const Vector& right = reference.heads[0].queries[0].back().sparse;
  const Vector moving = attend(last);
  const Vector frozen = attend(last - 10);
  double moving_gap = 0.0;
  double frozen_gap = 0.0;
  for (std::size_t t = 0; t < right.size(); ++t) {
    moving_gap += std::abs(moving[t] - right[t]);
    frozen_gap += std::abs(frozen[t] - right[t]);
  }
  EXPECT_LT(moving_gap, 1e-9);
  EXPECT_GT(frozen_gap, 1e-3);
}

TEST(RetrievalProperties, T23_EqualPreRopeKeysGetEqualCodes) {
  // The same token text at layer 0 has the same key before RoPE, wherever it stands.
  TraceShape shape = small_shape();
  shape.layers = 1;
  shape.edit = [](LayerTensors& tensors) {
    for (std::int64_t head = 0; head < 2; ++head) {
      for (std::int64_t j = 100; j < 180; ++j) {
        const auto from = tensors.row(tensors.k, head, j - 100);
        std::copy(from.begin(), from.end(), tensors.row(tensors.k, head, j).begin());
      }
    }
  };
  const TraceFixture fixture(shape);
  const auto book = codebook_for(fixture.trace(), RetrievalScorer::kVqQueryAware, 180);
  EXPECT_EQ(book->layers()[0].heads[0].objective.back(), 0.0);
  EXPECT_EQ(book->layers()[0].heads[0].dead_codes, 80);  // 100 distinct keys
  // Negative control: rotated keys are all distinct, so a codebook of post-RoPE keys has no dead
  // codeword and the pairs have different codes.
  shape.edit = [&](LayerTensors& tensors) {
    const traces::TraceLayer layer = fixture.trace().layer(0);
    for (std::int64_t head = 0; head < 2; ++head) {
      const std::vector<Vector> keys = rows_of(layer.k, head);
      for (std::size_t j = 0; j < keys.size(); ++j) {
        const Vector turned = rotated(keys[j], static_cast<double>(j), layer.spec.rope);
        std::copy(turned.begin(), turned.end(),
                  tensors.row(tensors.k, head, static_cast<std::int64_t>(j)).begin());
      }
    }
  };
  const TraceFixture post_rope(shape);
  EXPECT_EQ(codebook_for(post_rope.trace(), RetrievalScorer::kVqQueryAware, 180)
                ->layers()[0]
                .heads[0]
                .dead_codes,
            0);
}

TEST(RetrievalProperties, T25_AsManyCodewordsAsKeysIsTheWindowedRopeOracle) {
  TraceShape shape = small_shape();
  const TraceFixture fixture(shape);
  for (const char* name : {"a2ats", "vq-plain"}) {
    const RetrievalResult result =
        replay(fixture.trace(), small_options(name, "10%"), shape.prompt_tokens);
    EXPECT_EQ(result.summary.recall_vs_wrope, 1.0) << name;
    EXPECT_LT(*result.summary.vq_error->nmse, 1e-6) << name;
    EXPECT_EQ(result.summary.recall, result.summary.wrope_recall) << name;
  }
}

TEST(RetrievalProperties, T26_RetrievingAllEqualsDenseAndNothingEqualsSinksAndWindow) {
  const TraceFixture fixture(small_shape());
  for (const char* name : {"a2ats", "vq-post-rope", "exact-topk", "quest", "pq", "chunk-mean",
                           "cluster-centroid", "random-topk"}) {
    const RetrievalResult all = replay(fixture.trace(), small_options(name, "100%"));
    EXPECT_NEAR(all.summary.captured_mass, 1.0, 1e-5) << name;
    EXPECT_LT(all.summary.output_error, 1e-6) << name;
    EXPECT_LT(all.loss.output_error, 1e-6) << name;
    EXPECT_EQ(all.summary.recall, 1.0) << name;

    const RetrievalResult nothing = replay(fixture.trace(), small_options(name, "0%"));
    const RetrievalResult streaming =
        replay(fixture.trace(), small_options("streaming-llm", "10%"));
    EXPECT_EQ(nothing.summary.captured_mass, streaming.summary.captured_mass) << name;
    EXPECT_EQ(nothing.loss.l1_loss, streaming.loss.l1_loss) << name;
    EXPECT_EQ(nothing.summary.union_tokens, 0.0);
    EXPECT_FALSE(nothing.summary.recall);
  }
}

TEST(RetrievalProperties, T28_OutputErrorIsBoundedByTheMassLeftOut) {
  TraceShape shape = small_shape();
  shape.q_heads = 2;  // one query head a KV head: its records are no means
  const TraceFixture fixture(shape);
  for (const char* name : {"a2ats", "exact-topk", "random-topk", "streaming-llm"}) {
    const RetrievalResult result = replay(fixture.trace(), small_options(name, "5%"));
    const ReferenceRetrieval dense =
        reference_retrieval(fixture.trace(), 0, small_options("streaming-llm", "0"), nullptr);
    for (const HeadRetrieval& head : result.layers[0].heads) {
      const auto norm = [](const Vector& x) {
        return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
      };
      double largest = 0.0;
      for (const Vector& value : rows_of(fixture.trace().layer(0).v, head.head)) {
        largest = std::max(largest, norm(value));
      }
      for (std::size_t s = 0; s < head.steps.size(); ++s) {
        const double size =
            norm(dense.heads[static_cast<std::size_t>(head.head)].queries[0][s].dense);
        EXPECT_LE(head.steps[s].output_error * size,
                  2.0 * (1.0 - head.steps[s].captured_mass) * largest + 1e-5)
            << name;
      }
    }
  }
}

TEST(RetrievalProperties, T29_MassGrowsWithTheBudgetAndTheOracleLeads) {
  const TraceFixture fixture(small_shape());
  for (const char* name : {"a2ats", "vq-post-rope", "exact-topk", "exact-topk-wrope", "quest", "pq",
                           "chunk-mean", "cluster-centroid", "random-topk"}) {
    double before = 0.0;
    for (const char* top : {"0", "3", "8", "20", "60", "160", "400"}) {
      const RetrievalResult result = replay(fixture.trace(), small_options(name, top));
      EXPECT_GE(result.summary.captured_mass, before - 1e-6) << name << ' ' << top;
      before = result.summary.captured_mass;
    }
  }
  // With one query head a KV head the union is the top K itself: nothing captures more than the
  // exact one at the same K.
  TraceShape shape = small_shape();
  shape.q_heads = 2;
  const TraceFixture single(shape);
  for (const char* top : {"3", "12", "50"}) {
    const RetrievalResult oracle = replay(single.trace(), small_options("exact-topk", top));
    for (const char* name : {"a2ats", "vq-plain", "vq-post-rope", "exact-topk-wrope", "quest", "pq",
                             "chunk-mean", "cluster-centroid", "random-topk"}) {
      const RetrievalResult other = replay(single.trace(), small_options(name, top));
      for (std::size_t l = 0; l < oracle.layers.size(); ++l) {
        for (std::size_t h = 0; h < oracle.layers[l].heads.size(); ++h) {
          for (std::size_t s = 0; s < oracle.steps.size(); ++s) {
            EXPECT_LE(other.layers[l].heads[h].steps[s].captured_mass,
                      oracle.layers[l].heads[h].steps[s].captured_mass + 1e-6);
            EXPECT_EQ(other.layers[l].heads[h].steps[s].union_tokens,
                      oracle.layers[l].heads[h].steps[s].union_tokens);
          }
        }
      }
    }
  }
}

/// Mean squared error of windowed-RoPE scores, from a replay of one layer.
double wrope_mse(const TraceFixture& fixture, const RetrievalOptions& options) {
  return replay(fixture.trace(), options).summary.wrope_error->mse;
}

TEST(RetrievalProperties, T18_NegativeControlDistanceEqualToTheWindow) {
  TraceShape shape = small_shape();
  shape.layers = 1;
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("exact-topk-wrope", "10%");
  const ReferenceRetrieval right = reference_retrieval(fixture.trace(), 0, options, nullptr);
  const double expected = (right.heads[0].wrope_mse + right.heads[1].wrope_mse) / 2.0;
  EXPECT_NEAR(wrope_mse(fixture, options), expected, 1e-4 * expected);
  options.distance = options.window;  // b = w
  EXPECT_GT(std::abs(wrope_mse(fixture, options) / expected - 1.0), 0.01);
}

TEST(RetrievalProperties, T21_NegativeControlUnscaledFrequencies) {
  TraceShape shape = small_shape();
  shape.layers = 1;
  shape.rope.scaling.type = traces::RopeScalingType::kLlama3;
  shape.rope.scaling.factor = 8.0;
  shape.rope.scaling.low_freq_factor = 1.0;
  shape.rope.scaling.high_freq_factor = 4.0;
  shape.rope.scaling.original_max_position_embeddings = 64;
  const TraceFixture fixture(shape);
  const RetrievalOptions options = small_options("exact-topk-wrope", "10%");
  const RetrievalResult result = replay(fixture.trace(), options);
  expect_matches_reference(fixture.trace(), result);
  // The same numbers read with plain theta^(-2t/d).
  shape.rope.scaling = {};
  const TraceFixture unscaled(shape);
  const double right = result.summary.wrope_error->mse;
  EXPECT_GT(std::abs(wrope_mse(unscaled, options) / right - 1.0), 0.01);
}

TEST(RetrievalProperties, T20_WindowedRopeScoresDoNotDependOnWhereTheTextStands) {
  // The same keys and queries 50 tokens later: what is beyond the window scores alike, token by
  // token, and so does what is inside it.
  TraceShape shape = small_shape();
  shape.layers = 1;
  shape.q_heads = 2;
  std::vector<std::vector<float>> keys;
  std::vector<std::vector<float>> queries;
  shape.edit = [&](LayerTensors& tensors) {
    keys = tensors.k;
    queries = tensors.q;
  };
  const TraceFixture first(shape);
  shape.prompt_tokens += 50;
  shape.edit = [&](LayerTensors& tensors) {
    for (std::int64_t head = 0; head < 2; ++head) {
      const auto from = static_cast<std::ptrdiff_t>(50 * 16);
      std::copy(keys[static_cast<std::size_t>(head)].begin(),
                keys[static_cast<std::size_t>(head)].end(),
                tensors.k[static_cast<std::size_t>(head)].begin() + from);
      std::copy(queries[static_cast<std::size_t>(head)].begin(),
                queries[static_cast<std::size_t>(head)].end(),
                tensors.q[static_cast<std::size_t>(head)].begin() + from);
    }
  };
  const TraceFixture later(shape);
  RetrievalOptions options = small_options("exact-topk-wrope", "12");
  options.sinks = 0;
  const ReferenceRetrieval a = reference_retrieval(first.trace(), 0, options, nullptr);
  options.sinks = 50;  // the tokens before the text are out of the ranking
  const ReferenceRetrieval b = reference_retrieval(later.trace(), 0, options, nullptr);
  const RetrievalResult replayed = replay(later.trace(), options);
  expect_matches_reference(later.trace(), replayed);
  for (std::size_t head = 0; head < 2; ++head) {
    EXPECT_NEAR(a.heads[head].wrope_mse, b.heads[head].wrope_mse, 1e-5);
    for (std::size_t s = 0; s < a.heads[head].queries[0].size(); ++s) {
      std::vector<std::int32_t> shifted = a.heads[head].queries[0][s].chosen;
      for (std::int32_t& token : shifted) {
        token += 50;
      }
      EXPECT_EQ(shifted, b.heads[head].queries[0][s].chosen);
    }
  }
}

TEST(RetrievalProperties, T27_EveryHeadsTokensAreEligibleAndInTheUnion) {
  const TraceFixture fixture(small_shape());
  /// Looks at what the replay's own selector picks.
  class Watcher : public StepSelector {
   public:
    explicit Watcher(const RetrievalOptions& options) : m_own(make_step_selector(options)) {}
    void select(const SelectorQuery& query, std::vector<std::int32_t>& chosen) const override {
      m_own->select(query, chosen);
      EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
      EXPECT_EQ(std::adjacent_find(chosen.begin(), chosen.end()), chosen.end());
      EXPECT_LE(static_cast<std::int64_t>(chosen.size()), query.top);
      for (const std::int32_t token : chosen) {
        EXPECT_GE(token, 4);                                                       // sinks
        EXPECT_LE(token, static_cast<std::int64_t>(query.exact.size()) - 1 - 16);  // window
      }
    }

   private:
    std::unique_ptr<StepSelector> m_own;
  };
  for (const char* mass : {"", "70%"}) {
    RetrievalOptions options = small_options("cluster-centroid", "10%");
    if (*mass != '\0') {
      options.mass = kernels::Decimal::parse(mass);
    }
    options.budget = RetrievalBudget::kAdaptive;
    Watcher watcher(options);
    expect_sound(fixture.trace(), replay_selections(fixture.trace(), options, watcher));
  }
}

TEST(RetrievalProperties, T25_LosslessBaselinesAreTheOracle) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("cluster-centroid", "10%");
  options.codewords = 180;
  EXPECT_EQ(replay(fixture.trace(), options).summary.recall, 1.0);
  options = small_options("pq", "10%");
  options.pq_bits = 8;  // 256 centroids for 180 keys
  EXPECT_EQ(replay(fixture.trace(), options).summary.recall, 1.0);
  options = small_options("channel-subset", "10%");
  options.channels = 16;
  EXPECT_EQ(replay(fixture.trace(), options).summary.recall, 1.0);
}

}  // namespace
}  // namespace kvsieve::sim::tests
