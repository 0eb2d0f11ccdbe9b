#pragma once
// Clusters of a prompt's own keys (ClusterKV, DAC 2025; RetroInfer, VLDB 2025).

#include "replay/score_source.h"

namespace kvsieve::sim {

/// Keys after RoPE are clustered by k-means over the prompt; tokens score as their cluster's
/// centroid, later ones join the nearest. Simplified: Euclidean distance in place of the cosine,
/// one k-means over the prompt in place of segments, no estimate for clusters that are left out,
/// and a cluster at the boundary is cut by recency.
class CentroidScores final : public ScoreSource {
 public:
  explicit CentroidScores(const IndexInput& input);

  [[nodiscard]] kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const override;
  /// A 16-bit label a token, and the centroids.
  [[nodiscard]] IndexBytes index_bytes() const override;

 private:
  std::int64_t m_element_bytes;
  traces::AttentionSpec m_attention;
  HeadCodes m_clusters;
};

}  // namespace kvsieve::sim
