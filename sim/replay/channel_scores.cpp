#include "replay/channel_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/traces/error.h"
#include "replay/float_rows.h"

namespace kvsieve::sim {
namespace {

using kernels::MatrixView;
using kernels::TokenRange;

/// Sums of |x| by channel.
std::vector<double> magnitudes(const MatrixView<const float>& rows) {
  std::vector<double> sums(static_cast<std::size_t>(rows.cols), 0.0);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::size_t t = 0; t < sums.size(); ++t) {
      sums[t] += std::abs(static_cast<double>(rows.row(r)[t]));
    }
  }
  return sums;
}

std::vector<std::int64_t> largest_channels(const MatrixView<const float>& queries,
                                           const MatrixView<const float>& keys,
                                           std::int64_t count) {
  std::vector<double> weights = magnitudes(queries);
  const std::vector<double> of_keys = magnitudes(keys);
  std::transform(weights.begin(), weights.end(), of_keys.begin(), weights.begin(),
                 std::multiplies<>());
  std::vector<std::int64_t> channels(weights.size());
  std::iota(channels.begin(), channels.end(), 0);
  std::stable_sort(channels.begin(), channels.end(), [&](std::int64_t a, std::int64_t b) {
    return weights[static_cast<std::size_t>(a)] > weights[static_cast<std::size_t>(b)];
  });
  channels.resize(static_cast<std::size_t>(count));
  std::sort(channels.begin(), channels.end());
  return channels;
}

/// The chosen columns of `rows`.
void gather(const MatrixView<const float>& rows, std::span<const std::int64_t> channels,
            const MatrixView<float>& out) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::size_t c = 0; c < channels.size(); ++c) {
      out.row(r)[c] = rows.row(r)[static_cast<std::size_t>(channels[c])];
    }
  }
}

}  // namespace

ChannelScores::ChannelScores(const IndexInput& input)
    : m_element_bytes(input.element_bytes()), m_attention(input.layer.spec.attention) {
  const std::int64_t d = input.layer.k.shape[2];
  const std::int64_t count = input.options.channels;
  if (count > d) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--channels is {}, expected 1 to the head dimension {}", count, d));
  }
  const std::int64_t prompt_queries = input.trace.prompt_queries();
  if (prompt_queries == 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: choosing channels needs captured prompt queries",
                            input.trace.path().string()),
                "record with --prompt-queries 128 or all");
  }
  const std::int64_t group = input.trace.header().model.group();
  std::vector<float> queries;
  kernels::load_group_queries(
      input.layer.q, input.kv_head, group, 0,
      input.trace.query_positions().first(static_cast<std::size_t>(prompt_queries)), input.phases,
      queries);
  const FloatRows keys = input.rotated_keys();
  m_channels =
      largest_channels({queries.data(), group * prompt_queries, d},
                       keys.view().rows_from(0, input.trace.header().prompt_tokens), count);
  FloatRows labels(keys.rows, count);
  gather(keys.view(), m_channels, labels.view());
  m_labels.load(labels.head(), nullptr);
}

MatrixView<const float> ChannelScores::scores(const QueryBlock& block,
                                              std::span<const TokenRange> /*eligible*/,
                                              ScoreScratch& scratch) const {
  const MatrixView<float> queries =
      scratch_rows(scratch.queries, block.near.rows, m_labels.head_dim());
  gather(block.near_queries, m_channels, queries);
  const MatrixView<float> scores = scratch_rows(scratch.scores, block.near.rows, block.near.cols);
  kernels::attention_scores(queries, m_labels, 0, m_attention, scores);
  return scores;
}

IndexBytes ChannelScores::index_bytes() const {
  return {static_cast<double>(m_labels.head_dim() * m_element_bytes), 0};
}

}  // namespace kvsieve::sim
