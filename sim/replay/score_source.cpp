#include "replay/score_source.h"

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/traces/error.h"
#include "replay/page_bounds.h"

namespace kvsieve::sim {
namespace {

using kernels::MatrixView;
using kernels::TokenRange;

/// The true scores: the oracle.
class ExactScores final : public ScoreSource {
 public:
  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> /*eligible*/,
                                 ScoreScratch& /*scratch*/) const override {
    return block.near;
  }
};

/// Windowed RoPE on exact keys.
class WropeScores final : public ScoreSource {
 public:
  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> /*eligible*/,
                                 ScoreScratch& /*scratch*/) const override {
    return block.far;
  }
};

/// A table of query times codewords, looked up by code.
class CodeScores final : public ScoreSource {
 public:
  explicit CodeScores(const IndexInput& input)
      : m_codes(*input.codes), m_attention(input.layer.spec.attention) {}

  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> eligible,
                                 ScoreScratch& scratch) const override {
    const MatrixView<float> table =
        scratch_rows(scratch.lookup, block.near.rows, m_codes.codewords.tokens());
    kernels::score_table(block.far_queries, m_codes.codewords, m_attention, table);
    const MatrixView<float> scores = scratch_rows(scratch.scores, block.near.rows, block.near.cols);
    for (std::int64_t r = 0; r < scores.rows; ++r) {
      const TokenRange& range = eligible[static_cast<std::size_t>(r)];
      const auto begin = static_cast<std::size_t>(range.begin);
      const auto size = static_cast<std::size_t>(range.size());
      kernels::lookup_scores(table.row(r), std::span(m_codes.codes).subspan(begin, size),
                             scores.row(r).subspan(begin, size));
    }
    return scores;
  }

 private:
  const HeadCodes& m_codes;
  traces::AttentionSpec m_attention;
};

/// Upper bounds of pages (Quest).
class PageScores final : public ScoreSource {
 public:
  explicit PageScores(const IndexInput& input) : m_attention(input.layer.spec.attention) {
    kernels::HeadKeys keys;
    keys.load(kernels::HeadSlice(input.layer.k, input.kv_head), &input.phases);
    m_pages.load(keys);
  }

  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> eligible,
                                 ScoreScratch& scratch) const override {
    const MatrixView<float> bounds = scratch_rows(scratch.lookup, block.near.rows, m_pages.pages());
    m_pages.score(block.near_queries, m_attention, scratch.queries, bounds);
    const MatrixView<float> scores = scratch_rows(scratch.scores, block.near.rows, block.near.cols);
    for (std::int64_t r = 0; r < scores.rows; ++r) {
      const TokenRange& range = eligible[static_cast<std::size_t>(r)];
      for (std::int64_t j = range.begin; j < range.end; ++j) {
        scores.row(r)[static_cast<std::size_t>(j)] =
            bounds.row(r)[static_cast<std::size_t>(j / kQuestPageTokens)];
      }
    }
    return scores;
  }

 private:
  traces::AttentionSpec m_attention;
  PageBounds m_pages;
};

/// A draw of its own for every layer, query head and step.
class RandomScores final : public ScoreSource {
 public:
  explicit RandomScores(const IndexInput& input)
      : m_seed(input.options.seed), m_layer(input.layer.layer) {}

  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> eligible,
                                 ScoreScratch& scratch) const override {
    const MatrixView<float> scores = scratch_rows(scratch.scores, block.near.rows, block.near.cols);
    for (std::int64_t r = 0; r < scores.rows; ++r) {
      kernels::CounterRandom random(m_seed);
      for (const std::int64_t part : {m_layer, block.q_head, block.first_step + r}) {
        random = kernels::CounterRandom(random.bits() + static_cast<std::uint64_t>(part));
      }
      const TokenRange& range = eligible[static_cast<std::size_t>(r)];
      for (std::int64_t j = range.begin; j < range.end; ++j) {
        scores.row(r)[static_cast<std::size_t>(j)] = static_cast<float>(random.uniform());
      }
    }
    return scores;
  }

 private:
  std::uint64_t m_seed;
  std::int64_t m_layer;
};

}  // namespace

std::unique_ptr<ScoreSource> make_score_source(const IndexInput& input) {
  switch (input.options.scorer) {
    case RetrievalScorer::kVqQueryAware:
    case RetrievalScorer::kVqPlain:
      return std::make_unique<CodeScores>(input);
    case RetrievalScorer::kExact:
      return std::make_unique<ExactScores>();
    case RetrievalScorer::kExactWrope:
    case RetrievalScorer::kNone:
      return std::make_unique<WropeScores>();
    case RetrievalScorer::kQuest:
      return std::make_unique<PageScores>(input);
    case RetrievalScorer::kRandom:
      return std::make_unique<RandomScores>(input);
  }
  throw Error(ErrorKind::kInternal, "unknown retrieval scorer");
}

MatrixView<float> scratch_rows(std::vector<float>& buffer, std::int64_t rows,
                               std::int64_t columns) {
  const std::int64_t stride = (columns + 15) / 16 * 16;
  buffer.resize(static_cast<std::size_t>(rows * stride));
  return {buffer.data(), rows, columns, stride};
}

}  // namespace kvsieve::sim
