#pragma once
// Attention by its definition: scalar loops in double precision.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels::tests {

/// A row-major matrix of doubles.
struct Matrix {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<double> data;

  Matrix() = default;
  Matrix(std::int64_t row_count, std::int64_t col_count)
      : rows(row_count), cols(col_count), data(static_cast<std::size_t>(rows * cols)) {}

  [[nodiscard]] double& at(std::int64_t r, std::int64_t c) {
    return data[static_cast<std::size_t>(r * cols + c)];
  }
  [[nodiscard]] double at(std::int64_t r, std::int64_t c) const {
    return data[static_cast<std::size_t>(r * cols + c)];
  }
};

/// Rows [first, first + count) of `matrix`.
[[nodiscard]] Matrix rows_of(const Matrix& matrix, std::int64_t first, std::int64_t count);

/// |x| of every element.
[[nodiscard]] Matrix magnitudes(Matrix matrix);

/// Row r rotated to position first + r, unscaled frequencies theta^(-2t/dim).
[[nodiscard]] Matrix reference_rope(Matrix rows, std::int64_t first_position,
                                    const traces::RopeSpec& spec);

/// softcap(scale * q.k) of every query and key, [R, T].
[[nodiscard]] Matrix reference_scores(const Matrix& queries, const Matrix& keys,
                                      const traces::AttentionSpec& attention);

/// Whether the query at `position` sees key j.
[[nodiscard]] bool sees(const traces::AttentionSpec& attention, std::int64_t position,
                        std::int64_t j);

/// Each row's softmax over the keys it sees, other columns 0; a row that sees none is 0.
[[nodiscard]] Matrix reference_softmax(Matrix scores, std::span<const std::int32_t> positions,
                                       const traces::AttentionSpec& attention);

/// weights [R, n] times the first n rows of values.
[[nodiscard]] Matrix reference_weighted_values(const Matrix& weights, const Matrix& values);

/// x [R, d] times w [d, D].
[[nodiscard]] Matrix reference_product(const Matrix& x, const Matrix& w);

/// || V_j W ||_1 of every token.
[[nodiscard]] std::vector<double> reference_value_norms(const Matrix& values,
                                                        const Matrix& projection);

}  // namespace kvsieve::kernels::tests
