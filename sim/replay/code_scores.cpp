#include "replay/code_scores.h"

#include "kvsieve/kernels/score_lookup.h"

namespace kvsieve::sim {

using kernels::MatrixView;
using kernels::TokenRange;

MatrixView<const float> code_scores(const MatrixView<const float>& queries, const HeadCodes& codes,
                                    const traces::AttentionSpec& attention,
                                    std::span<const TokenRange> eligible, std::int64_t tokens,
                                    ScoreScratch& scratch) {
  const MatrixView<float> table =
      scratch_rows(scratch.lookup, queries.rows, codes.codewords.tokens());
  kernels::score_table(queries, codes.codewords, attention, table);
  const MatrixView<float> scores = scratch_rows(scratch.scores, queries.rows, tokens);
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const TokenRange& range = eligible[static_cast<std::size_t>(r)];
    const auto begin = static_cast<std::size_t>(range.begin);
    const auto size = static_cast<std::size_t>(range.size());
    kernels::lookup_scores(table.row(r), std::span(codes.codes).subspan(begin, size),
                           scores.row(r).subspan(begin, size));
  }
  return scores;
}

CodeScores::CodeScores(const IndexInput& input)
    : m_codes(*input.codes),
      m_attention(input.layer.spec.attention),
      m_rotated(input.options.scorer == RetrievalScorer::kVqPostRope),
      m_element_bytes(static_cast<std::int64_t>(traces::size_of(input.options.codebook_dtype))) {}

MatrixView<const float> CodeScores::scores(const QueryBlock& block,
                                           std::span<const TokenRange> eligible,
                                           ScoreScratch& scratch) const {
  return code_scores(m_rotated ? block.near_queries : block.far_queries, m_codes, m_attention,
                     eligible, block.near.cols, scratch);
}

IndexBytes CodeScores::index_bytes() const {
  return code_index_bytes(m_codes.codewords.tokens(), m_codes.codewords.head_dim(),
                          m_element_bytes);
}

}  // namespace kvsieve::sim
