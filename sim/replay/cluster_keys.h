#pragma once
// Clusters of a prompt's own keys, which later tokens join.

#include <cstdint>

#include "replay/float_rows.h"
#include "replay/head_codes.h"
#include "replay/score_source.h"

namespace kvsieve::sim {

/// k-means with Euclidean distance over the prompt's rows of `keys` [T, c]; every token's code is
/// its nearest centroid, lowest first in a tie. Iterations and seed are the options'.
[[nodiscard]] HeadCodes cluster_keys(const FloatRows& keys, const IndexInput& input,
                                     std::int64_t clusters);

}  // namespace kvsieve::sim
