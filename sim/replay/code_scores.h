#pragma once
// Scores looked up by code: a table of query times codewords, then a gather.

#include "replay/score_source.h"

namespace kvsieve::sim {

/// scores[r, j] = softcap(scale * q_r . codeword of j) at eligible tokens, in `scratch`.
/// @param queries [R, d] @param tokens n
[[nodiscard]] kernels::MatrixView<const float> code_scores(
    const kernels::MatrixView<const float>& queries, const HeadCodes& codes,
    const traces::AttentionSpec& attention, std::span<const kernels::TokenRange> eligible,
    std::int64_t tokens, ScoreScratch& scratch);

/// Codes of a codebook: windowed-RoPE queries against codewords of keys before RoPE, or queries and
/// codewords at true positions.
class CodeScores final : public ScoreSource {
 public:
  explicit CodeScores(const IndexInput& input);

  [[nodiscard]] kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const override;
  /// A 16-bit code a token, and the codewords at their precision.
  [[nodiscard]] IndexBytes index_bytes() const override;

 private:
  const HeadCodes& m_codes;
  traces::AttentionSpec m_attention;
  bool m_rotated;
  std::int64_t m_element_bytes;
};

}  // namespace kvsieve::sim
