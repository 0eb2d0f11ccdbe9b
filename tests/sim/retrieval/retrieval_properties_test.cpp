#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kvsieve/sim/retrieval_replay.h"
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
  for (const char* name : {"a2ats", "exact-topk", "quest", "random-topk"}) {
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
  for (const char* name : {"a2ats", "exact-topk", "exact-topk-wrope", "quest", "random-topk"}) {
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
    for (const char* name : {"a2ats", "vq-plain", "exact-topk-wrope", "quest", "random-topk"}) {
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

}  // namespace
}  // namespace kvsieve::sim::tests
