#include "traffic/search_reads.h"

#include <algorithm>

#include "a2ats/codeword_table_device.h"
#include "traffic/kernel_tiles.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {

std::int64_t search_reads(std::int64_t rows, std::int64_t head_dim, std::int64_t codewords,
                          std::int64_t element_bytes) {
  constexpr std::int64_t kNumberBytes = sizeof(float);
  const SearchTile tile = search_tile(head_dim);
  const std::int64_t padded = device::padded_codewords(codewords);
  std::int64_t bytes = 0;
  for (std::int64_t first = 0; first < rows; first += tile.rows) {
    const std::int64_t tile_rows = std::min(tile.rows, rows - first);
    // A lane a row.
    bytes +=
        vectors_asked_for({.rows = tile.rows, .existing = tile_rows}) * head_dim * element_bytes;
    // A block streams the whole table past its rows, a warp with rows its biases; every warp of
    // rows takes the mean codeword off.
    const std::int64_t comparing_warps =
        std::min<std::int64_t>(tile.warps, kernels::blocks_for(tile_rows, tile.rows_of_warp));
    bytes += (padded * head_dim + comparing_warps * padded + tile.rows / kWarpLanes * head_dim) *
             kNumberBytes;
  }
  return bytes;
}

}  // namespace kvsieve::bench
