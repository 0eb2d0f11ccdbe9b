#include "replay/page_scores.h"

namespace kvsieve::sim {

using kernels::MatrixView;
using kernels::TokenRange;

PageScores::PageScores(const IndexInput& input)
    : m_row_bytes(input.layer.k.shape[2] * input.element_bytes()),
      m_attention(input.layer.spec.attention) {
  kernels::HeadKeys keys;
  keys.load(kernels::HeadSlice(input.layer.k, input.kv_head), &input.phases);
  m_pages.load(keys);
}

MatrixView<const float> PageScores::scores(const QueryBlock& block,
                                           std::span<const TokenRange> eligible,
                                           ScoreScratch& scratch) const {
  const MatrixView<float> bounds = scratch_rows(scratch.lookup, block.near.rows, m_pages.pages());
  m_pages.score(block.near_queries, m_attention, scratch.queries, bounds);
  return spread(bounds, kQuestPageTokens, eligible, block.near.cols, scratch);
}

IndexBytes PageScores::index_bytes() const {
  return {2.0 * static_cast<double>(m_row_bytes) / static_cast<double>(kQuestPageTokens), 0};
}

}  // namespace kvsieve::sim
