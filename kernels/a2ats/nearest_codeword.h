#pragma once
// Nearest centroid of vectors, the inner loop that training and encoding share.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"

namespace kvsieve::kernels {

/// Centroids packed for comparison. Squared distances are compared as b_m - x . (c_m - a) with
/// b_m = ||c_m - a||^2 / 2 + a . (c_m - a) and a the mean centroid. What all centroids share has
/// cancelled before any rounding, so vectors far from the origin, as keys with a bias are, cost no
/// digits.
class NearestCodeword {
 public:
  /// Packs centroids [C, d], contiguous rows. Reuses its memory when called again.
  void pack(MatrixView<const float> centroids);

  [[nodiscard]] std::int64_t count() const noexcept { return m_panels.tokens(); }
  [[nodiscard]] std::int64_t head_dim() const noexcept { return m_panels.head_dim(); }

  /// index[r] = the nearest centroid of row r, in fp32; the lowest one in a tie.
  /// @param x [R, d] @param index [R] @param scratch [R]
  void find(MatrixView<const float> x, std::span<std::int32_t> index,
            std::span<float> scratch) const;

 private:
  HeadKeys m_panels;             // c_m - a as columns
  std::vector<float> m_biases;   // b_m, infinite in the last panel's padding
  std::vector<float> m_offsets;  // c_m - a, kept for its memory
};

/// A contiguous fp32 matrix as a head of a tensor.
[[nodiscard]] HeadSlice as_head(MatrixView<const float> matrix);

}  // namespace kvsieve::kernels
