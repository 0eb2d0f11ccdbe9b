#pragma once
// Approximate attention scores from codes: one table a query, then a gather. s_h[m] is A2ATS eq. 12
// with the codeword c_m in place of the key, and u^_j = s_h[code_j].

#include <cstdint>
#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels {

/// table[r, m] = softcap(scale * q~_r . c_m). The codewords are in the space of keys, so that no
/// factor is applied a step.
/// @param queries [R, d] rotated by the constant distance
/// @param codewords C codewords, packed as keys are
/// @param table [R, C], table.stride >= C rounded up to 16
void score_table(MatrixView<const float> queries, const HeadKeys& codewords,
                 const traces::AttentionSpec& attention, MatrixView<float> table);

/// scores[j] = table[codes[j]]. @param table [C] @param codes [n], each < C @param scores [n]
void lookup_scores(std::span<const float> table, std::span<const std::uint16_t> codes,
                   std::span<float> scores);

/// Sums over one query's tokens that mean and normalised squared errors are made of.
struct ScoreErrorSums {
  double squared_error = 0.0;  ///< sum of (u - u^)^2
  double variation = 0.0;      ///< sum of (u - mean u)^2, the mean of this query's tokens
  std::int64_t tokens = 0;

  ScoreErrorSums& operator+=(const ScoreErrorSums& other) {
    squared_error += other.squared_error;
    variation += other.variation;
    tokens += other.tokens;
    return *this;
  }
};

/// Error of approximate scores [n] of exact scores [n]. Sums in double precision, in one order.
[[nodiscard]] ScoreErrorSums score_error(std::span<const float> exact,
                                         std::span<const float> approximate);

/// Work of a table and the gather of n tokens for each of R query heads of one KV head; codewords
/// of `element_bytes` a number.
[[nodiscard]] constexpr Work score_lookup_work(std::int64_t rows, std::int64_t codewords,
                                               std::int64_t tokens, std::int64_t d,
                                               std::int64_t element_bytes = 4) {
  return {rows * d * 4 + codewords * d * element_bytes + tokens * 2, rows * tokens * 4,
          2 * rows * codewords * d};
}

}  // namespace kvsieve::kernels
