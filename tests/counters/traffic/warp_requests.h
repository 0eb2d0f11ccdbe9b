#pragma once
// What the lanes of a warp ask for at once, and how many warps there are.

#include <cstdint>
#include <vector>

#include "exec/device/launch_config.h"
#include "exec/ptx/module.h"

namespace kvsieve::bench {

inline constexpr std::int64_t kWarpLanes = ptx::kLanes;

[[nodiscard]] std::int64_t blocks_of(const kernels::LaunchConfig& config);
[[nodiscard]] std::int64_t warps_of_block(const kernels::LaunchConfig& config);
/// Of all blocks.
[[nodiscard]] std::int64_t warps_of(const kernels::LaunchConfig& config);

/// How many of the lanes' places differ: those that a request asks for.
[[nodiscard]] std::int64_t distinct(std::vector<std::int64_t> places);

/// Rows [first, first + rows) that a block copies, neighbouring lanes neighbouring vectors; a row
/// outside [0, existing) stands for the nearest one.
struct RowCopy {
  std::int64_t first = 0;
  std::int64_t rows = 0;
  std::int64_t row_vectors = 1;
  std::int64_t existing = 0;
};
/// Vectors that the warps ask for.
[[nodiscard]] std::int64_t vectors_asked_for(const RowCopy& copy);

}  // namespace kvsieve::bench
