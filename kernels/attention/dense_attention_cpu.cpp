#include <algorithm>
#include <cmath>
#include <vector>

#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"

namespace kvsieve::kernels {
namespace {

// A block of the sum over tokens: long sums in fp32 lose fewer bits when cut into pieces.
constexpr std::int64_t kTokensPerSum = 1024;
constexpr std::int64_t kTokensPerNormBlock = 128;

}  // namespace

void attention_scores(MatrixView<const float> queries, const HeadKeys& keys, std::int64_t first_key,
                      const traces::AttentionSpec& attention, MatrixView<float> out) {
  const SimdOps& ops = simd();
  const std::int64_t d = keys.head_dim();
  // Panel p begins at p * 16 * d floats, so key first_key's panel begins at first_key * d.
  ops.multiply(queries.data, queries.stride, queries.rows, keys.panels() + first_key * d,
               d * kPanelWidth, panel_count(out.cols), d, out.data, out.stride,
               /*accumulate=*/false);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    ops.scale(out.row(r).data(), out.cols, static_cast<float>(attention.scale));
    if (attention.softcap) {
      const auto cap = static_cast<float>(*attention.softcap);
      for (float& score : out.row(r)) {
        score = cap * std::tanh(score / cap);
      }
    }
  }
}

void softmax_rows(MatrixView<float> scores, std::span<const std::int32_t> positions,
                  const traces::AttentionSpec& attention) {
  const SimdOps& ops = simd();
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const std::span<float> row = scores.row(r);
    const std::int64_t position = positions[static_cast<std::size_t>(r)];
    const std::int64_t end = std::min(position + 1, scores.cols);
    const std::int64_t begin =
        attention.sliding_window
            ? std::clamp<std::int64_t>(position + 1 - *attention.sliding_window, 0, end)
            : 0;
    std::fill(row.begin(), row.begin() + begin, 0.0F);
    std::fill(row.begin() + end, row.end(), 0.0F);
    if (begin == end) {
      continue;  // the sliding window lies behind these columns
    }
    float* visible = row.data() + begin;
    const float sum = ops.exp_shift_sum(visible, end - begin, ops.max(visible, end - begin));
    ops.scale(visible, end - begin, 1.0F / sum);
  }
}

void weighted_values(MatrixView<const float> weights, const HeadValues& values,
                     MatrixView<float> out) {
  const SimdOps& ops = simd();
  for (std::int64_t first = 0; first < weights.cols || first == 0; first += kTokensPerSum) {
    const std::int64_t count = std::min(kTokensPerSum, weights.cols - first);
    ops.multiply(weights.data + first, weights.stride, weights.rows,
                 values.panels() + first * kPanelWidth, values.panel_stride(),
                 panel_count(values.head_dim()), count, out.data, out.stride, first > 0);
  }
}

void weighted_values(MatrixView<const float> weights, const HeadValues& values,
                     std::span<const std::int32_t> tokens, MatrixView<float> out) {
  const SimdOps& ops = simd();
  const auto total = static_cast<std::int64_t>(tokens.size());
  for (std::int64_t first = 0; first < total || first == 0; first += kTokensPerSum) {
    ops.multiply_indexed(weights.data, weights.stride, weights.rows, values.panels(),
                         values.panel_stride(), panel_count(values.head_dim()),
                         tokens.data() + first, std::min(kTokensPerSum, total - first), out.data,
                         out.stride, first > 0);
  }
}

void value_norms(const HeadSlice& values, const PackedMatrix& projection, std::span<float> norms) {
  const SimdOps& ops = simd();
  parallel_blocks(values.rows, kTokensPerNormBlock, [&](std::int64_t first, std::int64_t last) {
    thread_local std::vector<float> rows;
    rows.resize(static_cast<std::size_t>(kTokensPerNormBlock * values.cols));
    const MatrixView<float> block(rows.data(), last - first, values.cols);
    load_rows(values, first, block);
    std::fill(norms.begin() + first, norms.begin() + last, 0.0F);
    ops.multiply_abs_sum(block.data, block.stride, block.rows, projection.panels(),
                         projection.panel_stride(), panel_count(projection.columns()),
                         projection.depth(), norms.data() + first);
  });
}

}  // namespace kvsieve::kernels
