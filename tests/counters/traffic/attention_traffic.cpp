// Attention of decode steps, and the norms of values.

#include <algorithm>

#include "attention/ragged_decode_device.h"
#include "attention/sparse_decode_device.h"
#include "attention/value_norms_device.h"
#include "traffic/kernel_tiles.h"
#include "traffic/projection_reads.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kStartBytes = sizeof(std::int64_t);
constexpr std::int64_t kOffsetBytes = sizeof(std::int64_t);
constexpr std::int64_t kLengthBytes = sizeof(std::int32_t);
constexpr std::int64_t kNumberBytes = sizeof(float);

/// What decode_shares.cuh works on, wherever the rows lie.
struct DecodeShape {
  traces::DType dtype;
  std::int64_t head_dim;
  std::int64_t group;
  std::int64_t query_bytes;  ///< of a number
  std::int64_t shares;
  std::vector<std::int32_t> lengths;

  [[nodiscard]] std::int64_t segments() const { return static_cast<std::int64_t>(lengths.size()); }
  [[nodiscard]] std::int64_t part_bytes() const { return group * (head_dim + 2) * kNumberBytes; }
  [[nodiscard]] std::int64_t row_bytes() const { return head_dim * element_bytes(dtype); }
  /// Of one share.
  [[nodiscard]] std::int64_t warps() const {
    return warps_of_block(device::decode_shares_config(shares, head_dim, group));
  }
};

/// What the kernels of a decode step do.
struct DecodeSteps {
  std::int64_t parts = 0;
  std::int64_t rows_asked_for = 0;  ///< of K, and as many of V
  std::int64_t start_lookups = 0;   ///< by the warps of all shares
};

/// Rows of K that the warps ask for in a part: each team one of a batch, those behind the end the
/// last, which the teams of a warp ask for together.
std::int64_t rows_asked_for(const kernels::DecodePart& part, const DecodeTile& tile,
                            std::int64_t warps) {
  const std::int64_t teams_of_warp = tile.teams / warps;
  std::int64_t rows = 0;
  for (std::int64_t first = part.begin; first < part.end; first += tile.batch * tile.teams) {
    for (std::int64_t of_warp = first; of_warp < first + tile.batch * tile.teams;
         of_warp += teams_of_warp) {
      rows += std::clamp<std::int64_t>(part.end - of_warp, 1, teams_of_warp);
    }
  }
  return rows;
}

/// Starts that DecodePartCursor looks at while it searches for the first segment of a share.
std::int64_t searched_starts(const std::vector<std::int64_t>& starts, std::int64_t first_token) {
  std::int64_t lookups = 0;
  std::int64_t segment = 0;
  auto above = static_cast<std::int64_t>(starts.size()) - 1;
  for (; segment + 1 < above; ++lookups) {
    const std::int64_t middle = (segment + above) / 2;
    (starts[static_cast<std::size_t>(middle)] <= first_token ? segment : above) = middle;
  }
  return lookups;
}

DecodeSteps decode_steps(const DecodeShape& shape) {
  const DecodeTile tile = decode_tile(shape.dtype, shape.head_dim, shape.group);
  std::vector<std::int64_t> starts{0};
  for (const std::int32_t length : shape.lengths) {
    starts.push_back(starts.back() + length);
  }
  const std::int64_t share_tokens = kernels::decode_share_tokens(starts.back(), shape.shares);
  DecodeSteps steps;
  for (std::int64_t share = 0; share < shape.shares; ++share) {
    kernels::DecodePartCursor cursor(starts.data(), shape.segments(), share_tokens, share);
    kernels::DecodePart part{};
    std::int64_t lookups = 1;  // the number of all tokens
    lookups += searched_starts(starts, share * share_tokens);
    std::int64_t last_segment = -1;
    while (cursor.next(part)) {
      // Where the segment starts and where it ends, and where the segments end that are left.
      lookups += 2 + (last_segment < 0 ? 0 : part.segment - last_segment);
      last_segment = part.segment;
      ++steps.parts;
      steps.rows_asked_for += rows_asked_for(part, tile, shape.warps());
    }
    steps.start_lookups += shape.warps() * lookups;
  }
  return steps;
}

/// Beyond queries, rows and results once; where rows lie is not counted.
Traffic decode_traffic(const DecodeShape& shape, const DecodeSteps& steps,
                       const kernels::Work& work) {
  std::int64_t tokens = 0;
  for (const std::int32_t length : shape.lengths) {
    tokens += length;
  }
  const kernels::LaunchConfig merge =
      device::decode_merge_config(shape.segments(), shape.group, shape.head_dim);
  const std::int64_t query_bytes = shape.group * shape.head_dim * shape.query_bytes;
  const std::int64_t queries_again = (steps.parts * shape.warps() - shape.segments()) * query_bytes;
  const std::int64_t rows_again = 2 * (steps.rows_asked_for - tokens) * shape.row_bytes();
  const std::int64_t parts_once = steps.parts * shape.part_bytes();
  // A warp of the merge reads where its segment starts and ends, and the number of all tokens.
  const std::int64_t merged_starts = warps_of(merge) * 3 * kStartBytes;
  return {work.bytes_read + queries_again + rows_again + steps.start_lookups * kStartBytes +
              merged_starts + parts_once,
          work.bytes_written + (shape.segments() + 1) * kStartBytes + parts_once};
}

Traffic ragged_decode(const kernels::RaggedDecodeArgs& args, const kernels::Work& work) {
  const DecodeShape shape{args.cache.dtype, args.cache.head_dim,
                          args.group,       element_bytes(args.query_dtype),
                          args.shares,      from_device(args.cache.lengths, args.cache.segments)};
  const DecodeSteps steps = decode_steps(shape);
  Traffic traffic = decode_traffic(shape, steps, work);
  // Every warp reads where the segment of its part begins.
  const std::int64_t offsets = steps.parts * shape.warps() * kOffsetBytes;
  traffic.loaded += args.cache.segments * kLengthBytes + offsets;
  return traffic;
}

Traffic sparse_decode(const kernels::SparseDecodeArgs& args, const kernels::Work& work) {
  const DecodeShape shape{args.cache.dtype, args.cache.head_dim,
                          args.group,       sizeof(float),
                          args.shares,      from_device(args.counts, args.segments)};
  const DecodeSteps steps = decode_steps(shape);
  std::int64_t listed = 0;
  for (const std::int32_t count : shape.lengths) {
    listed += count;
  }
  Traffic traffic = decode_traffic(shape, steps, work);
  // The list is read for K and for V.
  const std::int64_t list_again =
      (2 * steps.rows_asked_for - listed) * static_cast<std::int64_t>(sizeof(std::int32_t));
  traffic.loaded += list_again;
  return traffic;
}

Traffic merge_partial(const device::MergePartialArgs& /*args*/, const kernels::Work& work) {
  return {work.bytes_read, work.bytes_written};
}

Traffic value_norms(const device::ValueNormsArgs& args, const kernels::Work& work) {
  const std::int64_t heads = args.kv_heads * args.group;
  const std::int64_t row_bytes = args.head_dim * element_bytes(args.value_dtype);
  const std::int64_t projection_bytes =
      args.head_dim * args.width * element_bytes(args.projection_dtype);
  // A block walks over all columns with its rows.
  const std::int64_t rows_again =
      projected_rows(args.tokens) * projection_column_tiles(args.width) - args.tokens;
  const std::int64_t projections_again = projection_row_tiles(args.tokens) - 1;
  return {work.bytes_read + heads * (rows_again * row_bytes + projections_again * projection_bytes),
          work.bytes_written};
}

constexpr OperationTraffic kTraffic[] = {
    {"merge_partial", traffic_of<device::MergePartialArgs, merge_partial>},
    {"ragged_decode", traffic_of<kernels::RaggedDecodeArgs, ragged_decode>},
    {"sparse_decode", traffic_of<kernels::SparseDecodeArgs, sparse_decode>},
    {"value_norms", traffic_of<device::ValueNormsArgs, value_norms>},
};

}  // namespace

std::span<const OperationTraffic> attention_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
