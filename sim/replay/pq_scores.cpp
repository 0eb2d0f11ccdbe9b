#include "replay/pq_scores.h"

#include <fmt/format.h>

#include <cmath>

#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/traces/error.h"
#include "replay/cluster_keys.h"
#include "replay/float_rows.h"

namespace kvsieve::sim {

using kernels::MatrixView;
using kernels::TokenRange;

PqScores::PqScores(const IndexInput& input)
    : m_bits(input.options.pq_bits),
      m_head_dim(input.layer.k.shape[2]),
      m_element_bytes(input.element_bytes()),
      m_attention(input.layer.spec.attention) {
  const std::int64_t parts = input.options.pq_subvectors;
  if (m_head_dim % parts != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--pq-subvectors is {}, expected a divisor of the head dimension {}",
                            parts, m_head_dim));
  }
  const FloatRows keys = input.rotated_keys();
  const std::int64_t width = m_head_dim / parts;
  for (std::int64_t part = 0; part < parts; ++part) {
    FloatRows slice(keys.rows, width);
    for (std::int64_t j = 0; j < keys.rows; ++j) {
      const auto row = keys.view().row(j).subspan(static_cast<std::size_t>(part * width),
                                                  static_cast<std::size_t>(width));
      std::copy(row.begin(), row.end(), slice.view().row(j).begin());
    }
    HeadCodes codes = cluster_keys(slice, input, std::int64_t{1} << m_bits);
    m_parts.push_back({std::move(codes.codewords), std::move(codes.codes)});
  }
}

MatrixView<const float> PqScores::scores(const QueryBlock& block,
                                         std::span<const TokenRange> eligible,
                                         ScoreScratch& scratch) const {
  const MatrixView<float> scores = scratch_rows(scratch.scores, block.near.rows, block.near.cols);
  const std::int64_t width = m_head_dim / static_cast<std::int64_t>(m_parts.size());
  traces::AttentionSpec linear = m_attention;
  linear.softcap.reset();  // of the sum, not of its parts
  for (std::size_t part = 0; part < m_parts.size(); ++part) {
    const MatrixView<float> table =
        scratch_rows(scratch.lookup, block.near.rows, m_parts[part].centroids.tokens());
    const MatrixView<const float> queries(
        block.near_queries.data + static_cast<std::int64_t>(part) * width, block.near.rows, width,
        block.near_queries.stride);
    kernels::score_table(queries, m_parts[part].centroids, linear, table);
    for (std::int64_t r = 0; r < scores.rows; ++r) {
      const TokenRange& range = eligible[static_cast<std::size_t>(r)];
      const std::span<float> row = scores.row(r);
      const std::span<const float> entries = table.row(r);
      for (auto j = static_cast<std::size_t>(range.begin); j < static_cast<std::size_t>(range.end);
           ++j) {
        row[j] = (part == 0 ? 0.0F : row[j]) + entries[m_parts[part].codes[j]];
      }
    }
  }
  for (std::int64_t r = 0; m_attention.softcap && r < scores.rows; ++r) {
    const auto cap = static_cast<float>(*m_attention.softcap);
    const TokenRange& range = eligible[static_cast<std::size_t>(r)];
    for (std::int64_t j = range.begin; j < range.end; ++j) {
      float& score = scores.row(r)[static_cast<std::size_t>(j)];
      score = cap * std::tanh(score / cap);
    }
  }
  return scores;
}

IndexBytes PqScores::index_bytes() const {
  return {static_cast<double>(static_cast<std::int64_t>(m_parts.size()) * m_bits) / 8.0,
          (std::int64_t{1} << m_bits) * m_head_dim * m_element_bytes};
}

}  // namespace kvsieve::sim
