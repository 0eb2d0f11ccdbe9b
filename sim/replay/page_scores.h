#pragma once
// Upper bounds of pages of keys (Quest, ICML 2024).

#include "replay/page_bounds.h"
#include "replay/score_source.h"

namespace kvsieve::sim {

/// The bound of a page of 16 scores all of its tokens.
class PageScores final : public ScoreSource {
 public:
  explicit PageScores(const IndexInput& input);

  [[nodiscard]] kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const override;
  /// Two keys for 16 tokens.
  [[nodiscard]] IndexBytes index_bytes() const override;
  [[nodiscard]] bool estimates() const override { return false; }

 private:
  std::int64_t m_row_bytes;
  traces::AttentionSpec m_attention;
  PageBounds m_pages;
};

}  // namespace kvsieve::sim
