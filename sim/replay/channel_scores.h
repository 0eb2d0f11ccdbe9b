#pragma once
// Scores from a few channels of the keys (DoubleSparse, 2024).

#include <cstdint>
#include <vector>

#include "replay/score_source.h"

namespace kvsieve::sim {

/// The r channels, after RoPE, in which the prompt's queries times its keys are largest: mean |q|
/// over the captured prompt queries of the group times mean |k| over the prompt, ties to the lower
/// channel. The label cache holds them for every token in the trace's type. Simplified: calibrated
/// on the prompt itself rather than on another corpus, and not quantised to 4 bits. SparQ instead
/// picks channels by |q| at each step, which needs the whole key cache by channel.
class ChannelScores final : public ScoreSource {
 public:
  /// Throws Error(kUsage) if r is more than d, Error(kBadInput) without captured prompt queries.
  explicit ChannelScores(const IndexInput& input);

  [[nodiscard]] kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const override;
  /// r numbers a token.
  [[nodiscard]] IndexBytes index_bytes() const override;

 private:
  std::int64_t m_element_bytes;
  traces::AttentionSpec m_attention;
  std::vector<std::int64_t> m_channels;  // [r], ascending
  kernels::HeadKeys m_labels;            // [T, r]
};

}  // namespace kvsieve::sim
