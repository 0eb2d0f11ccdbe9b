#include "traffic/projection_reads.h"

#include <algorithm>

#include "exec/device/launch_config.h"
#include "traffic/kernel_tiles.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {

std::int64_t projection_row_tiles(std::int64_t rows) {
  return kernels::blocks_for(rows, kProjectionRows);
}

std::int64_t projection_column_tiles(std::int64_t width) {
  return kernels::blocks_for(width, kProjectionColumns);
}

std::int64_t projected_rows(std::int64_t rows) {
  const std::int64_t row_lanes = kProjectionDepth / kProjectionLaneChannels;
  std::int64_t lanes = 0;
  for (std::int64_t first = 0; first < rows; first += kProjectionRows) {
    lanes += vectors_asked_for(
        {.rows = kProjectionRows, .row_vectors = row_lanes, .existing = rows - first});
  }
  return lanes / row_lanes;
}

}  // namespace kvsieve::bench
