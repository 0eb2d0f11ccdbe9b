#include "sim/retrieval/retrieval_expectations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/retrieval/retrieval_reference.h"

namespace kvsieve::sim::tests {
namespace {

constexpr double kTolerance = 2e-5;

void expect_near_optional(const std::optional<double>& actual, double expected, bool present,
                          const char* name) {
  ASSERT_EQ(actual.has_value(), present) << name;
  if (present) {
    EXPECT_NEAR(*actual, expected, kTolerance * (1.0 + std::abs(expected))) << name;
  }
}

void expect_step(const HeadStep& actual, const HeadStep& expected) {
  EXPECT_EQ(actual.top, expected.top);
  EXPECT_NEAR(actual.selected, expected.selected, 1e-12);
  EXPECT_EQ(actual.eligible, expected.eligible);
  EXPECT_EQ(actual.attended, expected.attended);
  EXPECT_EQ(actual.union_tokens, expected.union_tokens);
  EXPECT_EQ(actual.hot_hits, expected.hot_hits);
  EXPECT_EQ(actual.fetch_pieces, expected.fetch_pieces);
  EXPECT_EQ(actual.needle_eligible, expected.needle_eligible);
  EXPECT_EQ(actual.needle_retrieved, expected.needle_retrieved);
  EXPECT_NEAR(actual.recall, expected.recall, 1e-12);
  EXPECT_NEAR(actual.recall_vs_wrope, expected.recall_vs_wrope, 1e-12);
  EXPECT_NEAR(actual.wrope_recall, expected.wrope_recall, 1e-12);
  EXPECT_NEAR(actual.boundary_ties, expected.boundary_ties, 1e-12);
  EXPECT_NEAR(actual.captured_mass, expected.captured_mass, kTolerance);
  EXPECT_NEAR(actual.retrieved_mass, expected.retrieved_mass, kTolerance);
  EXPECT_NEAR(actual.output_error, expected.output_error, kTolerance);
  EXPECT_NEAR(actual.l1_loss, expected.l1_loss, kTolerance * (1.0 + expected.l1_loss));
  ASSERT_EQ(actual.overlap.has_value(), expected.overlap.has_value());
  if (actual.overlap) {
    EXPECT_NEAR(*actual.overlap, *expected.overlap, 1e-12);
  }
}

void expect_head(const HeadRetrieval& actual, const ReferenceHead& expected,
                 const RetrievalOptions& options) {
  ASSERT_EQ(actual.steps.size(), expected.steps.size());
  const auto count = static_cast<double>(expected.steps.size());
  double mass = 0.0;
  double loss = 0.0;
  double recall = 0.0;
  double selecting = 0.0;
  double hits = 0.0;
  double wanted = 0.0;
  for (std::size_t s = 0; s < expected.steps.size(); ++s) {
    SCOPED_TRACE("step " + std::to_string(s));
    expect_step(actual.steps[s], expected.steps[s]);
    mass += expected.steps[s].captured_mass / count;
    loss += expected.steps[s].l1_loss / count;
    recall += expected.steps[s].recall;
    selecting += expected.steps[s].selected > 0.0 ? 1.0 : 0.0;
    hits += static_cast<double>(expected.steps[s].hot_hits);
    wanted += static_cast<double>(expected.steps[s].union_tokens);
  }
  EXPECT_NEAR(actual.figures.captured_mass, mass, kTolerance);
  EXPECT_NEAR(actual.l1_loss, loss, kTolerance * (1.0 + loss));
  expect_near_optional(actual.figures.recall, recall / selecting, selecting > 0.0, "recall");
  expect_near_optional(actual.figures.hot_hit_rate, hits / wanted,
                       options.hot_buffer > 0 && wanted > 0.0, "hot_hit_rate");
  const bool any_eligible = std::any_of(expected.steps.begin(), expected.steps.end(),
                                        [](const HeadStep& step) { return step.eligible > 0; });
  ASSERT_EQ(actual.figures.wrope_error.has_value(), any_eligible);
  ASSERT_EQ(actual.figures.vq_error.has_value(), any_eligible && uses_codebook(options.scorer));
  if (actual.figures.wrope_error) {
    EXPECT_NEAR(actual.figures.wrope_error->mse, expected.wrope_mse, 1e-4 * expected.wrope_mse);
    EXPECT_NEAR(*actual.figures.wrope_error->nmse, expected.wrope_nmse, 1e-4 * expected.wrope_nmse);
  }
  if (actual.figures.vq_error) {
    EXPECT_NEAR(actual.figures.vq_error->mse, expected.vq_mse, 1e-4 * expected.vq_mse + 1e-9);
    EXPECT_NEAR(*actual.figures.vq_error->nmse, expected.vq_nmse, 1e-4 * expected.vq_nmse + 1e-9);
  }
  const bool estimates =
      options.scorer != RetrievalScorer::kExact && options.scorer != RetrievalScorer::kQuest &&
      options.scorer != RetrievalScorer::kRandom && options.scorer != RetrievalScorer::kNone;
  ASSERT_EQ(actual.figures.score_error.has_value(), any_eligible && estimates);
  if (actual.figures.score_error) {
    EXPECT_NEAR(actual.figures.score_error->mse, expected.score_mse,
                1e-4 * expected.score_mse + 1e-8);
    EXPECT_NEAR(*actual.figures.score_error->nmse, expected.score_nmse,
                1e-4 * expected.score_nmse + 1e-8);
  }
  ASSERT_EQ(actual.query_heads.size(), expected.queries.size());
  for (std::size_t g = 0; g < expected.queries.size(); ++g) {
    double query_mass = 0.0;
    double error = 0.0;
    for (const ReferenceQuery& query : expected.queries[g]) {
      query_mass += query.captured_mass / count;
      error += query.output_error / count;
    }
    EXPECT_NEAR(actual.query_heads[g].captured_mass, query_mass, kTolerance);
    EXPECT_NEAR(actual.query_heads[g].output_error, error, kTolerance);
  }
}

}  // namespace

TraceShape small_shape() {
  TraceShape shape;
  shape.layers = 2;
  shape.q_heads = 6;
  shape.kv_heads = 2;
  shape.head_dim = 16;
  shape.width = 24;
  shape.prompt_tokens = 180;
  shape.decode_tokens = 11;
  shape.prompt_queries = 180;
  return shape;
}

RetrievalOptions small_options(std::string_view preset, std::string_view top) {
  RetrievalOptions options = retrieval_preset(preset);
  options.top = TopBudget::parse(top);
  options.sinks = 4;
  options.window = 16;
  options.distance = 40;
  return options;
}

std::shared_ptr<const Codebook> codebook_for(const traces::Trace& trace, RetrievalScorer scorer,
                                             std::int64_t codewords, std::uint64_t seed,
                                             bool center_keys) {
  CodebookOptions options;
  options.kind = scorer == RetrievalScorer::kVqPlain      ? CodebookKind::kPlain
                 : scorer == RetrievalScorer::kVqPostRope ? CodebookKind::kPostRope
                                                          : CodebookKind::kQueryAware;
  options.center_keys = center_keys;
  options.codewords = codewords;
  options.distance = 40;
  options.seed = seed;
  const traces::Trace* list[] = {&trace};
  return std::make_shared<const Codebook>(train_codebook(list, options));
}

RetrievalResult replay(const traces::Trace& trace, RetrievalOptions options,
                       std::int64_t codewords) {
  if (uses_codebook(options.scorer)) {
    options.codebook = codebook_for(trace, options.scorer, codewords, 0, options.center_keys);
  }
  return replay_retrieval(trace, options);
}

void expect_matches_reference(const traces::Trace& trace, const RetrievalResult& result) {
  std::vector<RetrievalFigures> touched;
  double error = 0.0;
  double fetched = 0.0;
  for (const LayerRetrieval& layer : result.layers) {
    SCOPED_TRACE("layer " + std::to_string(layer.layer));
    if (!layer.touched) {
      EXPECT_TRUE(layer.heads.empty());
      EXPECT_TRUE(layer.steps.empty());
      continue;
    }
    const ReferenceRetrieval expected = reference_retrieval(
        trace, *trace.find_layer(layer.layer), result.options, result.options.codebook.get());
    ASSERT_EQ(layer.heads.size(), expected.heads.size());
    double mass = 0.0;
    for (std::size_t head = 0; head < expected.heads.size(); ++head) {
      SCOPED_TRACE("head " + std::to_string(head));
      expect_head(layer.heads[head], expected.heads[head], result.options);
      mass += layer.heads[head].figures.captured_mass / static_cast<double>(layer.heads.size());
      fetched += layer.heads[head].figures.pcie_of(Placement::kFetchHotBuffer).to_gpu_bytes;
    }
    EXPECT_NEAR(layer.figures.captured_mass, mass, 1e-12);
    ASSERT_EQ(layer.steps.size(), expected.steps.size());
    double l1 = 0.0;
    for (std::size_t s = 0; s < expected.steps.size(); ++s) {
      EXPECT_NEAR(layer.steps[s].output_error, expected.steps[s].output_error, kTolerance);
      EXPECT_NEAR(layer.steps[s].l1_loss, expected.steps[s].l1_loss,
                  kTolerance * (1.0 + expected.steps[s].l1_loss));
      EXPECT_NEAR(layer.steps[s].l1_loss_relative, expected.steps[s].l1_loss_relative, kTolerance);
      l1 += expected.steps[s].l1_loss / static_cast<double>(expected.steps.size());
    }
    EXPECT_NEAR(layer.loss.l1_loss, l1, kTolerance * (1.0 + l1));
    touched.push_back(layer.figures);
    error += layer.loss.output_error;
  }
  if (!touched.empty()) {
    EXPECT_NEAR(result.loss.output_error, error / static_cast<double>(touched.size()), 1e-12);
    EXPECT_NEAR(result.summary.pcie_of(Placement::kFetchHotBuffer).to_gpu_bytes, fetched,
                1e-6 * (1.0 + fetched));
  }
}

void expect_sound(const traces::Trace& trace, const RetrievalResult& result) {
  const traces::ModelShape& model = trace.header().model;
  const std::int64_t group = model.group();
  const auto element = static_cast<std::int64_t>(traces::size_of(trace.header().dtype));
  for (const LayerRetrieval& layer : result.layers) {
    for (const HeadRetrieval& head : layer.heads) {
      double fetched = 0.0;
      for (std::size_t s = 0; s < head.steps.size(); ++s) {
        const HeadStep& step = head.steps[s];
        const std::int64_t now = trace.header().prompt_tokens + static_cast<std::int64_t>(s) + 1;
        EXPECT_LE(step.top, step.eligible);
        EXPECT_GE(static_cast<double>(step.union_tokens), step.selected - 1e-9);
        EXPECT_LE(static_cast<double>(step.union_tokens),
                  std::min(static_cast<double>(group) * step.selected,
                           static_cast<double>(step.eligible)) +
                      1e-9);
        if (result.options.budget == RetrievalBudget::kUniform && !result.options.mass) {
          EXPECT_EQ(step.selected, static_cast<double>(step.top));
        }
        EXPECT_EQ(step.attended, now - step.eligible + step.union_tokens);
        EXPECT_LE(step.hot_hits, step.union_tokens);
        EXPECT_LE(step.fetch_pieces, step.union_tokens);
        EXPECT_LE(step.needle_retrieved, step.needle_eligible);
        for (const double share : {step.recall, step.recall_vs_wrope, step.wrope_recall,
                                   step.captured_mass, step.retrieved_mass}) {
          EXPECT_GE(share, 0.0);
          EXPECT_LE(share, 1.0 + 1e-12);
        }
        EXPECT_LE(step.retrieved_mass, step.captured_mass + 1e-12);
        EXPECT_TRUE(std::isfinite(step.output_error));
        EXPECT_TRUE(std::isfinite(step.l1_loss));
        fetched += static_cast<double>((step.union_tokens - step.hot_hits) *
                                       kernels::row_bytes(model.head_dim, element));
      }
      EXPECT_NEAR(head.figures.pcie_of(Placement::kFetchHotBuffer).to_gpu_bytes,
                  fetched / static_cast<double>(head.steps.size()), 1e-6);
      if (head.figures.union_factor) {
        EXPECT_GE(*head.figures.union_factor, 1.0 - 1e-12);
        EXPECT_LE(*head.figures.union_factor, static_cast<double>(group) + 1e-12);
      }
    }
  }
}

void expect_identical(const RetrievalResult& a, const RetrievalResult& b) {
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    ASSERT_EQ(a.layers[l].heads.size(), b.layers[l].heads.size());
    EXPECT_EQ(a.layers[l].loss.l1_loss, b.layers[l].loss.l1_loss);
    for (std::size_t h = 0; h < a.layers[l].heads.size(); ++h) {
      const HeadRetrieval& of_a = a.layers[l].heads[h];
      const HeadRetrieval& of_b = b.layers[l].heads[h];
      ASSERT_EQ(of_a.steps.size(), of_b.steps.size());
      EXPECT_EQ(of_a.l1_loss, of_b.l1_loss);
      EXPECT_EQ(of_a.figures.output_error, of_b.figures.output_error);
      for (std::size_t s = 0; s < of_a.steps.size(); ++s) {
        EXPECT_EQ(of_a.steps[s].recall, of_b.steps[s].recall);
        EXPECT_EQ(of_a.steps[s].captured_mass, of_b.steps[s].captured_mass);
        EXPECT_EQ(of_a.steps[s].union_tokens, of_b.steps[s].union_tokens);
        EXPECT_EQ(of_a.steps[s].hot_hits, of_b.steps[s].hot_hits);
        EXPECT_EQ(of_a.steps[s].fetch_pieces, of_b.steps[s].fetch_pieces);
        EXPECT_EQ(of_a.steps[s].l1_loss, of_b.steps[s].l1_loss);
      }
    }
  }
}

}  // namespace kvsieve::sim::tests
