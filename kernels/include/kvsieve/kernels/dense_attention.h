#pragma once
// Attention of a block of query rows over all keys of one KV head: the building block that window
// scoring, loss measurement and the exactness check share.

#include <cstdint>
#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels {

/// Scores of query rows against a stretch of keys: out[r, j] = softcap(scale * q_r . k_(first+j)).
/// @param queries [R, d] fp32, already rotated as the keys are
/// @param keys T keys
/// @param first_key a multiple of 16; first_key + out.cols <= T
/// @param out [R, n], out.stride >= n rounded up to 16 (the tail is scratch)
void attention_scores(MatrixView<const float> queries, const HeadKeys& keys, std::int64_t first_key,
                      const traces::AttentionSpec& attention, MatrixView<float> out);

/// Softmax of each row over the keys it sees: row r with position i = positions[r] sees key j when
/// j <= i and, with a sliding window s, i - j < s. Other columns become 0. fp32, maximum
/// subtracted.
/// @param scores [R, n], replaced by probabilities
/// @param positions [R]
void softmax_rows(MatrixView<float> scores, std::span<const std::int32_t> positions,
                  const traces::AttentionSpec& attention);

/// out[r] = sum over j of weights[r, j] v_j.
/// @param weights [R, n], n <= T
/// @param out [R, d], out.stride >= d rounded up to 16
void weighted_values(MatrixView<const float> weights, const HeadValues& values,
                     MatrixView<float> out);

/// As weighted_values over the listed tokens only, ascending, each < n.
void weighted_values(MatrixView<const float> weights, const HeadValues& values,
                     std::span<const std::int32_t> tokens, MatrixView<float> out);

/// norms[j] = || V_j W ||_1 for every token j (C_i and T_i of Ada-KV's bounds); the product
/// [T, D] is never stored. Parallel over tokens.
/// @param values one KV head [T, d] @param projection W_O of one query head [d, D]
/// @param norms [T]
void value_norms(const HeadSlice& values, const PackedMatrix& projection, std::span<float> norms);

/// Work of attention_scores for R rows, n keys of `element_bytes` a number.
[[nodiscard]] constexpr Work attention_scores_work(std::int64_t rows, std::int64_t n,
                                                   std::int64_t d, std::int64_t element_bytes) {
  return {(rows + n) * d * element_bytes, rows * n * 4, 2 * rows * n * d};
}

/// Work of value_norms for one query head.
[[nodiscard]] constexpr Work value_norms_work(std::int64_t tokens, std::int64_t d,
                                              std::int64_t width, std::int64_t element_bytes) {
  return {(tokens * d + d * width) * element_bytes, tokens * 4, 2 * tokens * d * width};
}

}  // namespace kvsieve::kernels
