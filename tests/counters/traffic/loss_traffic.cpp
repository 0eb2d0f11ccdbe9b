// What evictions cost.

#include <algorithm>

#include "adakv/eviction_loss_device.h"
#include "adakv/projected_loss_device.h"
#include "traffic/kernel_tiles.h"
#include "traffic/projection_reads.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kNumberBytes = sizeof(float);
constexpr std::int64_t kWordBytes = sizeof(std::uint32_t);
constexpr std::int64_t kPositionBytes = sizeof(std::int32_t);
constexpr std::int64_t kVectorBytes = 16;

/// What the blocks of one query head and one pass read; all tokens are seen from the first on.
std::int64_t loss_reads_of_head(const device::EvictionLossArgs& args, std::int64_t selections) {
  const std::int64_t warps = warps_of_block(device::eviction_loss_config(args));
  const std::int64_t row_vectors = args.head_dim * element_bytes(args.dtype) / kVectorBytes;
  const std::int64_t query_vectors = args.head_dim * kNumberBytes / kVectorBytes;
  const std::vector<std::int32_t> positions = from_device(args.positions, args.queries);
  std::int64_t bytes = 0;
  for (std::int64_t first = 0; first < args.queries; first += kLossQueries) {
    const std::int64_t queries = std::min(kLossQueries, args.queries - first);
    // Every warp those of the block, to find the tiles, and those of its own rows.
    bytes += (warps + 1) * queries * kPositionBytes;
    // Queries that the block lacks repeat the last.
    bytes += vectors_asked_for({first, kLossQueries, query_vectors, args.queries}) * kVectorBytes;
    const std::int64_t last_position = positions[static_cast<std::size_t>(first + queries - 1)];
    const std::int64_t seen = std::min(last_position + 1, args.tokens);
    for (std::int64_t token = 0; token < seen; token += kLossTokens) {
      // Of K and V, and of their norms; every warp reads the kept bits of the tile.
      bytes +=
          2 * vectors_asked_for({token, kLossTokens, row_vectors, args.tokens}) * kVectorBytes +
          vectors_asked_for({token, kLossTokens, 1, args.tokens}) * kNumberBytes +
          warps * selections * kWordBytes;
    }
  }
  return bytes;
}

Traffic eviction_loss(const device::EvictionLossArgs& args, const kernels::Work& work) {
  const std::int64_t heads = args.kv_heads * args.group;
  const std::int64_t rows = heads * args.queries;
  const std::int64_t a_pass = device::eviction_loss_selections_per_pass(args.head_dim);
  std::int64_t loaded = 0;
  for (std::int64_t first = 0; first < args.selections; first += a_pass) {
    loaded += heads * loss_reads_of_head(args, std::min(a_pass, args.selections - first));
  }
  // The work has the output and one selection's difference.
  const std::int64_t more_differences = (args.selections - 1) * rows * args.head_dim * kNumberBytes;
  // Retained mass and kept norm of a selection, total norm.
  const std::int64_t row_sums = (2 * args.selections + 1) * rows * kNumberBytes;
  return {loaded, work.bytes_written + more_differences + row_sums};
}

Traffic projected_loss(const device::ProjectedLossArgs& args, const kernels::Work& work) {
  const std::int64_t row_bytes = args.head_dim * kNumberBytes;
  const std::int64_t column_tiles = projection_column_tiles(args.width);
  const std::int64_t products = args.selections + 1;  // of the output too
  // A block has the same rows of all heads and one tile of columns.
  const std::int64_t rows_again =
      products * args.q_heads * (column_tiles * projected_rows(args.queries) - args.queries);
  const std::int64_t projection_bytes =
      args.q_heads * args.head_dim * args.width * element_bytes(args.projection_dtype);
  const std::int64_t projections_again = products * projection_row_tiles(args.queries) - 1;
  // Magnitudes of a row and tile of columns, which another launch adds up.
  const auto magnitudes = static_cast<std::int64_t>(device::projected_loss_workspace_bytes(args));
  return {
      work.bytes_read + rows_again * row_bytes + projections_again * projection_bytes + magnitudes,
      work.bytes_written + magnitudes};
}

constexpr OperationTraffic kTraffic[] = {
    {"eviction_loss", traffic_of<device::EvictionLossArgs, eviction_loss>},
    {"projected_loss", traffic_of<device::ProjectedLossArgs, projected_loss>},
};

}  // namespace

std::span<const OperationTraffic> loss_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
