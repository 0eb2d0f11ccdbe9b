#pragma once
// Starting points of k-means.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/matrix_view.h"

namespace kvsieve::kernels {

/// k-means++ (Arthur and Vassilvitskii, 2007): `count` rows of points, the first drawn evenly, each
/// next one with probability proportional to its squared distance to the nearest row drawn before.
/// Distinct points come first; when none is left, row 0 of the result repeats.
[[nodiscard]] std::vector<std::int64_t> choose_seeds(MatrixView<const float> points,
                                                     std::int64_t count, std::uint64_t seed);

}  // namespace kvsieve::kernels
