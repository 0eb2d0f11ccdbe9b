#include "replay/score_source.h"

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/traces/error.h"
#include "replay/centroid_scores.h"
#include "replay/channel_scores.h"
#include "replay/chunk_scores.h"
#include "replay/code_scores.h"
#include "replay/page_scores.h"
#include "replay/pq_scores.h"

namespace kvsieve::sim {
namespace {

using kernels::MatrixView;
using kernels::TokenRange;

/// Exact keys, at true positions (the oracle) or at the constant distance.
class ExactScores final : public ScoreSource {
 public:
  ExactScores(const IndexInput& input, bool wrope)
      : m_row_bytes(input.layer.k.shape[2] * input.element_bytes()), m_wrope(wrope) {}

  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> /*eligible*/,
                                 ScoreScratch& /*scratch*/) const override {
    return m_wrope ? block.far : block.near;
  }
  /// The keys themselves.
  IndexBytes index_bytes() const override { return {static_cast<double>(m_row_bytes), 0}; }
  bool estimates() const override { return m_wrope; }

 private:
  std::int64_t m_row_bytes;
  bool m_wrope;
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
  IndexBytes index_bytes() const override { return {}; }
  bool estimates() const override { return false; }

 private:
  std::uint64_t m_seed;
  std::int64_t m_layer;
};

/// Nothing is ranked, since nothing is retrieved.
class NoScores final : public ScoreSource {
 public:
  MatrixView<const float> scores(const QueryBlock& block, std::span<const TokenRange> /*eligible*/,
                                 ScoreScratch& /*scratch*/) const override {
    return block.near;
  }
  IndexBytes index_bytes() const override { return {}; }
  bool estimates() const override { return false; }
};

}  // namespace

std::unique_ptr<ScoreSource> make_score_source(const IndexInput& input) {
  switch (input.options.scorer) {
    case RetrievalScorer::kVqQueryAware:
    case RetrievalScorer::kVqPlain:
    case RetrievalScorer::kVqPostRope:
      return std::make_unique<CodeScores>(input);
    case RetrievalScorer::kExact:
      return std::make_unique<ExactScores>(input, false);
    case RetrievalScorer::kExactWrope:
      return std::make_unique<ExactScores>(input, true);
    case RetrievalScorer::kQuest:
      return std::make_unique<PageScores>(input);
    case RetrievalScorer::kPq:
      return std::make_unique<PqScores>(input);
    case RetrievalScorer::kChunkMean:
      return std::make_unique<ChunkScores>(input);
    case RetrievalScorer::kClusterCentroid:
      return std::make_unique<CentroidScores>(input);
    case RetrievalScorer::kChannelSubset:
      return std::make_unique<ChannelScores>(input);
    case RetrievalScorer::kRandom:
      return std::make_unique<RandomScores>(input);
    case RetrievalScorer::kNone:
      return std::make_unique<NoScores>();
  }
  throw Error(ErrorKind::kInternal, "unknown retrieval scorer");
}

MatrixView<float> scratch_rows(std::vector<float>& buffer, std::int64_t rows,
                               std::int64_t columns) {
  const std::int64_t stride = (columns + 15) / 16 * 16;
  buffer.resize(static_cast<std::size_t>(rows * stride));
  return {buffer.data(), rows, columns, stride};
}

MatrixView<const float> spread(const MatrixView<const float>& parts, std::int64_t part_tokens,
                               std::span<const TokenRange> eligible, std::int64_t tokens,
                               ScoreScratch& scratch) {
  const MatrixView<float> scores = scratch_rows(scratch.scores, parts.rows, tokens);
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const TokenRange& range = eligible[static_cast<std::size_t>(r)];
    for (std::int64_t j = range.begin; j < range.end; ++j) {
      scores.row(r)[static_cast<std::size_t>(j)] =
          parts.row(r)[static_cast<std::size_t>(j / part_tokens)];
    }
  }
  return scores;
}

}  // namespace kvsieve::sim
