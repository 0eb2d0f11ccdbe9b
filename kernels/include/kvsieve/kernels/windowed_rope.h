#pragma once
// Windowed RoPE: true positions inside a local window, one constant distance beyond it, so that
// keys outside the window need no position (A2ATS eq. 11 and 12).

#include <cstdint>
#include <span>

#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::kernels {

/// Whether the query at position i sees key j at the constant distance (true) or at its own
/// (false). A token's class changes as queries advance, so it is never stored.
[[nodiscard]] constexpr bool is_far(std::int64_t i, std::int64_t j, std::int64_t window) noexcept {
  return i - j >= window;
}

/// q~ = q R_b: rotates every row of queries [R, d] in place by the constant distance b, with the
/// model's own frequencies. Scored against keys before RoPE (A2ATS eq. 12).
void rotate_to_distance(const traces::RopeTable& rope, std::int64_t distance,
                        MatrixView<float> queries);

/// u_ij = near[r, j] for i - j < window, far[r, j] otherwise, i = positions[r], for j <= i
/// (A2ATS eq. 11). Columns beyond i are left alone.
/// @param near [R, n] scores of rotated queries and rotated keys
/// @param far [R, n] scores of q R_b and keys before RoPE
/// @param positions [R]
/// @param out [R, n]; may be `near` or `far`
void windowed_scores(MatrixView<const float> near, MatrixView<const float> far,
                     std::span<const std::int32_t> positions, std::int64_t window,
                     MatrixView<float> out);

/// Work of rotate_to_distance for R rows of which `rope_dim` numbers are rotated: two products and
/// one sum for each of 2 outputs a pair.
[[nodiscard]] constexpr Work windowed_rope_work(std::int64_t rows, std::int64_t d,
                                                std::int64_t rope_dim) {
  return {(rows * d + rope_dim) * 4, rows * d * 4, 3 * rows * rope_dim};
}

}  // namespace kvsieve::kernels
