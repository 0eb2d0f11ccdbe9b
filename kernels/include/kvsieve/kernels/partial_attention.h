#pragma once
// Attention over part of the tokens with its log-sum-exp, so that parts computed in different
// places (GPU and host) merge into the attention over all of them.

#include <cstdint>
#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// out[r] = sum over j <= positions[r] of softmax(scores[r])[j] v_j, and its log-sum-exp.
/// @param scores [R, n], n > every position; destroyed
/// @param out [R, d], out.stride >= d rounded up to 16
/// @param log_sums [R] natural logarithm of the sum of exp(score)
void attend_all(MatrixView<float> scores, std::span<const std::int32_t> positions,
                const HeadValues& values, MatrixView<float> out, std::span<double> log_sums);

/// The same over the listed tokens only. An empty list gives zeros and a log-sum-exp of -infinity.
/// @param scores [R, n]; destroyed at the listed tokens, read nowhere else
/// @param tokens ascending, each < n
void attend_tokens(MatrixView<float> scores, std::span<const std::int32_t> tokens,
                   const HeadValues& values, MatrixView<float> out, std::span<double> log_sums);

/// Merges a part into another one over disjoint tokens: out and log_sums become those of the union.
/// @param out [R, d] @param log_sums [R] @param other [R, d] @param other_log_sums [R]
void merge_attention(MatrixView<float> out, std::span<double> log_sums,
                     MatrixView<const float> other, std::span<const double> other_log_sums);

/// Share of the softmax with log-sum-exp `log_sum` that falls on the listed tokens, within [0, 1].
/// @param scores indexed by token
[[nodiscard]] double attention_mass(std::span<const float> scores, double log_sum,
                                    std::span<const std::int32_t> tokens);

/// Work of attend_tokens for R query rows and n listed tokens of `element_bytes` a number.
[[nodiscard]] constexpr Work partial_attention_work(std::int64_t rows, std::int64_t tokens,
                                                    std::int64_t d, std::int64_t element_bytes) {
  return {tokens * d * element_bytes + rows * tokens * 4, rows * (d * 4 + 8),
          2 * rows * tokens * d};
}

}  // namespace kvsieve::kernels
