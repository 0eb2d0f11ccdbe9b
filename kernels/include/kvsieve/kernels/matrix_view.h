#pragma once
// Row-major matrices that somebody else owns.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kvsieve::kernels {

/// [rows, cols], element (r, c) at data[r * stride + c], stride >= cols.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* first, std::int64_t row_count, std::int64_t col_count)
      : data(first), rows(row_count), cols(col_count), stride(col_count) {}
  MatrixView(T* first, std::int64_t row_count, std::int64_t col_count, std::int64_t row_stride)
      : data(first), rows(row_count), cols(col_count), stride(row_stride) {}

  [[nodiscard]] std::span<T> row(std::int64_t r) const {
    assert(r >= 0 && r < rows);
    return {data + r * stride, static_cast<std::size_t>(cols)};
  }
  [[nodiscard]] MatrixView rows_from(std::int64_t first, std::int64_t count) const {
    assert(first >= 0 && first + count <= rows);
    return {data + first * stride, count, cols, stride};
  }
  // A mutable view reads as a constant one, as with std::span.
  operator MatrixView<const T>() const { return {data, rows, cols, stride}; }  // NOLINT
};

}  // namespace kvsieve::kernels
