#pragma once
// What the lanes of a warp ask for at once, and how many warps there are.

#include <cstddef>
#include <cstdint>
#include <utility>
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
/// How often the warps look up in lists which `rows` rows they copy so.
[[nodiscard]] std::int64_t rows_looked_up(std::int64_t rows, std::int64_t row_vectors);

/// A lane's search for the first of the ascending elements [begin, end) that is not less than
/// `least`: it halves them until none is left.
struct LaneSearch {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t least = 0;
};
/// Elements that the lanes of a warp look at together.
template <class T>
[[nodiscard]] std::int64_t searched_elements(const std::vector<T>& elements,
                                             std::vector<LaneSearch> lanes) {
  std::int64_t looked_at = 0;
  while (true) {
    std::vector<std::int64_t> middles;
    for (LaneSearch& lane : lanes) {
      if (lane.begin < lane.end) {
        const std::int64_t middle = (lane.begin + lane.end) / 2;
        middles.push_back(middle);
        if (elements[static_cast<std::size_t>(middle)] < lane.least) {
          lane.begin = middle + 1;
        } else {
          lane.end = middle;
        }
      }
    }
    if (middles.empty()) {
      return looked_at;
    }
    looked_at += distinct(std::move(middles));
  }
}

}  // namespace kvsieve::bench
