#pragma once
// Starting points of k-means.

#include <cstdint>
#include <functional>
#include <vector>

#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/matrix_view.h"

namespace kvsieve::kernels {

/// `count` rows of points, drawn as `seeding` says. Distinct points come first; when none is left,
/// row 0 of the result repeats. `pause`, unless empty, is called now and then and may throw.
[[nodiscard]] std::vector<std::int64_t> choose_seeds(MatrixView<const float> points,
                                                     std::int64_t count, std::uint64_t seed,
                                                     KMeansSeeding seeding,
                                                     const std::function<void()>& pause);

}  // namespace kvsieve::kernels
