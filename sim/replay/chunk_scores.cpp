#include "replay/chunk_scores.h"

#include "kvsieve/kernels/dense_attention.h"
#include "replay/float_rows.h"

namespace kvsieve::sim {

using kernels::MatrixView;
using kernels::TokenRange;

ChunkScores::ChunkScores(const IndexInput& input)
    : m_element_bytes(input.element_bytes()), m_attention(input.layer.spec.attention) {
  const FloatRows keys = input.rotated_keys();
  FloatRows means(keys.rows / kChunkTokens, keys.cols);
  for (std::int64_t chunk = 0; chunk < means.rows; ++chunk) {
    const std::span<float> mean = means.view().row(chunk);
    for (std::int64_t j = chunk * kChunkTokens; j < (chunk + 1) * kChunkTokens; ++j) {
      const std::span<const float> key = keys.view().row(j);
      std::transform(mean.begin(), mean.end(), key.begin(), mean.begin(), std::plus<>());
    }
    for (float& x : mean) {
      x /= static_cast<float>(kChunkTokens);
    }
  }
  m_means.load(means.head(), nullptr);
}

MatrixView<const float> ChunkScores::scores(const QueryBlock& block,
                                            std::span<const TokenRange> eligible,
                                            ScoreScratch& scratch) const {
  const MatrixView<float> landmarks =
      scratch_rows(scratch.lookup, block.near.rows, m_means.tokens());
  kernels::attention_scores(block.near_queries, m_means, 0, m_attention, landmarks);
  return spread(landmarks, kChunkTokens, eligible, block.near.cols, scratch);
}

IndexBytes ChunkScores::index_bytes() const {
  return {
      static_cast<double>(m_means.head_dim() * m_element_bytes) / static_cast<double>(kChunkTokens),
      0};
}

}  // namespace kvsieve::sim
