#include "traffic/warp_requests.h"

#include <algorithm>

namespace kvsieve::bench {

std::int64_t blocks_of(const kernels::LaunchConfig& config) {
  return std::int64_t{config.grid.x} * config.grid.y * config.grid.z;
}

std::int64_t warps_of_block(const kernels::LaunchConfig& config) {
  return std::int64_t{config.block.x} * config.block.y * config.block.z / kWarpLanes;
}

std::int64_t warps_of(const kernels::LaunchConfig& config) {
  return blocks_of(config) * warps_of_block(config);
}

std::int64_t distinct(std::vector<std::int64_t> places) {
  std::sort(places.begin(), places.end());
  return std::unique(places.begin(), places.end()) - places.begin();
}

std::int64_t vectors_asked_for(const RowCopy& copy) {
  const std::int64_t vectors = copy.rows * copy.row_vectors;
  std::int64_t asked_for = 0;
  for (std::int64_t warp = 0; warp < vectors; warp += kWarpLanes) {
    std::vector<std::int64_t> places;
    for (std::int64_t i = warp; i < std::min(warp + kWarpLanes, vectors); ++i) {
      const std::int64_t row = copy.first + i / copy.row_vectors;
      places.push_back(std::clamp<std::int64_t>(row, 0, copy.existing - 1) * copy.row_vectors +
                       i % copy.row_vectors);
    }
    asked_for += distinct(std::move(places));
  }
  return asked_for;
}

std::int64_t rows_looked_up(std::int64_t rows, std::int64_t row_vectors) {
  const std::int64_t vectors = rows * row_vectors;
  std::int64_t lookups = 0;
  for (std::int64_t first = 0; first < vectors; first += kWarpLanes) {
    const std::int64_t last = std::min(first + kWarpLanes, vectors) - 1;
    lookups += last / row_vectors - first / row_vectors + 1;
  }
  return lookups;
}

}  // namespace kvsieve::bench
