#pragma once
// What every backend's k-means refuses.

#include <cstdint>

#include "kvsieve/kernels/codebook_training.h"

namespace kvsieve::kernels {

/// Throws Error(kUsage) for options out of range or initial centroids that do not fit points
/// [rows, cols], Error(kBadInput) if there are none.
void check_kmeans(const KMeansOptions& options, std::int64_t rows, std::int64_t cols);

}  // namespace kvsieve::kernels
