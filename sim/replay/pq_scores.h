#pragma once
// Product quantisation of a prompt's own keys (PQCache, SIGMOD 2025).

#include <cstdint>
#include <vector>

#include "replay/score_source.h"

namespace kvsieve::sim {

/// Keys after RoPE are cut into m sub-vectors; each has 2^bits centroids, from k-means over the
/// prompt's keys, and every token m codes. A score is the sum of m table entries. PQCache's
/// softmax and sum over the group, and its cache of blocks, are left out.
class PqScores final : public ScoreSource {
 public:
  /// Throws Error(kUsage) if m does not divide d.
  explicit PqScores(const IndexInput& input);

  [[nodiscard]] kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const override;
  /// m bits / 8 a token, and the centroids.
  [[nodiscard]] IndexBytes index_bytes() const override;

 private:
  struct Part {
    kernels::HeadKeys centroids;       // [2^bits, d / m]
    std::vector<std::uint16_t> codes;  // [T]
  };

  std::int64_t m_bits;
  std::int64_t m_head_dim;
  std::int64_t m_element_bytes;
  traces::AttentionSpec m_attention;
  std::vector<Part> m_parts;  // [m]
};

}  // namespace kvsieve::sim
