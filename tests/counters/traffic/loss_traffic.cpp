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

/// Bytes that the blocks of one query head and one pass read.
struct LossReads {
  std::int64_t queries = 0;
  std::int64_t tokens = 0;  ///< K and V
  std::int64_t positions = 0;
  std::int64_t norms = 0;
  std::int64_t kept = 0;  ///< bits
};

/// @param selections of the pass
LossReads loss_reads(const device::EvictionLossArgs& args, std::int64_t selections) {
  const std::int64_t warps = warps_of_block(device::eviction_loss_config(args));
  const std::int64_t row_vectors = args.head_dim * element_bytes(args.dtype) / kVectorBytes;
  const std::int64_t query_vectors = args.head_dim * kNumberBytes / kVectorBytes;
  const std::vector<std::int32_t> positions = from_device(args.positions, args.queries);
  LossReads reads;
  for (std::int64_t first = 0; first < args.queries; first += kLossQueries) {
    const std::int64_t queries = std::min(kLossQueries, args.queries - first);
    // Every warp those of the block, to find the tiles, and those of its own rows.
    reads.positions += (warps + 1) * queries * kPositionBytes;
    // Queries that the block lacks repeat the last, and tokens that a tile lacks.
    reads.queries +=
        vectors_asked_for({first, kLossQueries, query_vectors, args.queries}) * kVectorBytes;
    // Without a sliding window all tokens up to the last query's position are seen.
    const std::int64_t last_position = positions[static_cast<std::size_t>(first + queries - 1)];
    for (std::int64_t token = 0; token < std::min(last_position + 1, args.tokens);
         token += kLossTokens) {
      reads.tokens +=
          2 * vectors_asked_for({token, kLossTokens, row_vectors, args.tokens}) * kVectorBytes;
      // One warp copies the norms, every warp reads the kept bits.
      reads.norms += vectors_asked_for({token, kLossTokens, 1, args.tokens}) * kNumberBytes;
      reads.kept += warps * selections * kWordBytes;
    }
  }
  return reads;
}

Traffic eviction_loss(const device::EvictionLossArgs& args, const kernels::Work& work) {
  const std::int64_t heads = args.kv_heads * args.group;
  const std::int64_t row_bytes = args.head_dim * element_bytes(args.dtype);
  const std::int64_t query_bytes = args.head_dim * kNumberBytes;
  const std::int64_t of_a_pass = device::eviction_loss_selections_per_pass(args.head_dim);
  LossReads all;
  for (std::int64_t first = 0; first < args.selections; first += of_a_pass) {
    const LossReads reads = loss_reads(args, std::min(of_a_pass, args.selections - first));
    all.queries += reads.queries;
    all.tokens += reads.tokens;
    all.positions += reads.positions;
    all.norms += reads.norms;
    all.kept += reads.kept;
  }
  // The work has K, V, positions and kept bits once a group.
  const std::int64_t tokens_again =
      heads * all.tokens - args.kv_heads * 2 * args.tokens * row_bytes;
  const std::int64_t queries_again = heads * (all.queries - args.queries * query_bytes);
  const std::int64_t positions_again =
      heads * all.positions - args.kv_heads * args.queries * kPositionBytes;
  const std::int64_t norms_again = heads * (all.norms - args.tokens * kNumberBytes);
  const std::int64_t kept_again = heads * all.kept - args.kv_heads * args.selections *
                                                         device::kept_words(args.tokens) *
                                                         kWordBytes;
  return {
      work.bytes_read + tokens_again + queries_again + positions_again + norms_again + kept_again,
      work.bytes_written};
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
