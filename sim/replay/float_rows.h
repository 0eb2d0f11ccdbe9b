#pragma once
// fp32 rows that are used as a head of a tensor.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::sim {

/// One head [1, rows, cols] over values that outlive it.
[[nodiscard]] inline kernels::HeadSlice head_of(const std::vector<float>& values, std::int64_t rows,
                                                std::int64_t cols) {
  return {
      traces::TensorView{
          reinterpret_cast<const std::byte*>(values.data()), traces::DType::kF32, {1, rows, cols}},
      0};
}

/// Rows of a head in fp32.
struct FloatRows {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<float> values;

  FloatRows(std::int64_t row_count, std::int64_t col_count)
      : rows(row_count), cols(col_count), values(static_cast<std::size_t>(row_count * col_count)) {}

  /// All rows of `head`, row j rotated to position j if there are phases.
  FloatRows(const kernels::HeadSlice& head, const kernels::RopePhases* phases)
      : FloatRows(head.rows, head.cols) {
    if (phases != nullptr) {
      kernels::load_rotated_rows(head, *phases, view());
    } else {
      kernels::load_rows(head, 0, view());
    }
  }

  [[nodiscard]] kernels::MatrixView<float> view() { return {values.data(), rows, cols}; }
  [[nodiscard]] kernels::MatrixView<const float> view() const {
    return {values.data(), rows, cols};
  }
  [[nodiscard]] kernels::HeadSlice head() const { return head_of(values, rows, cols); }
};

}  // namespace kvsieve::sim
