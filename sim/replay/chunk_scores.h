#pragma once
// Means of chunks of keys (the landmarks of ShadowKV, ICML 2025).

#include "replay/score_source.h"

namespace kvsieve::sim {

/// The mean key after RoPE of every whole chunk of 8 scores all of its tokens. Simplified: no
/// outlier chunks are kept, keys stay as they are instead of a low-rank copy, and a chunk at the
/// boundary is cut by recency.
class ChunkScores final : public ScoreSource {
 public:
  explicit ChunkScores(const IndexInput& input);

  [[nodiscard]] kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const override;
  /// A key for 8 tokens.
  [[nodiscard]] IndexBytes index_bytes() const override;

 private:
  std::int64_t m_element_bytes;
  traces::AttentionSpec m_attention;
  kernels::HeadKeys m_means;  // [chunks, d]
};

}  // namespace kvsieve::sim
