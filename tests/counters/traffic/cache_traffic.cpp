// The ragged cache: compaction, and its life during decoding.

#include <algorithm>

#include "adakv/cache_compaction_device.h"
#include "adakv/cache_rows.h"
#include "traffic/kernel_tiles.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kOffsetBytes = sizeof(std::int64_t);
constexpr std::int64_t kLengthBytes = sizeof(std::int32_t);
/// has_room() reads where a segment begins and where the next one does.
constexpr std::int64_t kRoomBytes = 2 * kOffsetBytes;

std::int64_t row_bytes_of(const kernels::RaggedCacheView& cache) {
  return cache.head_dim * element_bytes(cache.dtype);
}

/// Rows of a contiguous layout that one warp plans.
struct PlannedRows {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

/// The rows of each warp that plans some of `rows`, block by block.
std::vector<PlannedRows> plans(std::int64_t rows, std::int64_t tile_rows) {
  std::vector<PlannedRows> all;
  for (std::int64_t tile = 0; tile < rows; tile += tile_rows) {
    const std::int64_t end = std::min(tile + tile_rows, rows);
    for (std::int64_t first = tile; first < end; first += kWarpLanes) {
      all.push_back({first, std::min(first + kWarpLanes, end)});
    }
  }
  return all;
}

/// Offsets that a warp's lanes look at together while each searches for the segment of its row
/// (segment_of).
std::int64_t searched_offsets(const std::vector<std::int64_t>& offsets, const PlannedRows& rows) {
  struct Lane {
    std::int64_t row;
    std::int64_t first;
    std::int64_t last;
  };
  std::vector<Lane> lanes;
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    lanes.push_back({row, 0, static_cast<std::int64_t>(offsets.size()) - 1});
  }
  std::int64_t lookups = 0;
  while (true) {
    std::vector<std::int64_t> middles;
    for (Lane& lane : lanes) {
      if (lane.last - lane.first > 1) {
        const std::int64_t middle = (lane.first + lane.last) / 2;
        middles.push_back(middle);
        (offsets[static_cast<std::size_t>(middle)] <= lane.row ? lane.first : lane.last) = middle;
      }
    }
    if (middles.empty()) {
      return lookups;
    }
    lookups += distinct(std::move(middles));
  }
}

/// Segments that a warp's rows belong to.
std::int64_t segments_of(const std::vector<std::int64_t>& offsets, const PlannedRows& rows) {
  std::vector<std::int64_t> segments;
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    segments.push_back(
        kernels::segment_of(offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1, row));
  }
  return distinct(std::move(segments));
}

Traffic compact_cache(const device::CompactCacheArgs& args, const kernels::Work& work) {
  const std::int64_t segments = args.cache.segments;
  const std::int64_t row_bytes = row_bytes_of(args.cache);
  const std::int64_t tile_rows = copied_rows(row_bytes);
  const std::vector<std::int64_t> offsets = from_device(args.kept.offsets, segments + 1);
  // Every warp that plans reads how many rows there are.
  const std::int64_t planning_warps = kernels::blocks_for(tile_rows, kWarpLanes);
  std::int64_t planning = blocks_of(device::copy_rows_config(args.kept.rows, segments, row_bytes)) *
                          planning_warps * kOffsetBytes;
  for (const PlannedRows& rows : plans(offsets.back(), tile_rows)) {
    // Of a segment: its part of the list, its room, and where its rows begin.
    planning += searched_offsets(offsets, rows) * kOffsetBytes +
                segments_of(offsets, rows) * (2 * kOffsetBytes + kRoomBytes + kOffsetBytes);
  }
  const std::int64_t lengths = segments * (2 * kOffsetBytes + kRoomBytes);
  const std::int64_t offsets_once = (segments + 1) * 2 * kOffsetBytes;
  return {work.bytes_read - offsets_once + planning + lengths, work.bytes_written};
}

Traffic regrow_cache(const device::RegrowCacheArgs& args, const kernels::Work& work) {
  const std::int64_t segments = args.to.segments;
  const std::vector<std::int64_t> offsets = from_device(args.from.offsets, segments + 1);
  std::int64_t planning = 0;
  for (const PlannedRows& rows : plans(args.from_rows, copied_rows(row_bytes_of(args.to)))) {
    // Of a segment: its first row, its length, its room, and where its rows begin before and after.
    planning +=
        searched_offsets(offsets, rows) * kOffsetBytes +
        segments_of(offsets, rows) * (kOffsetBytes + kLengthBytes + kRoomBytes + 2 * kOffsetBytes);
  }
  const std::int64_t lengths = segments * (kLengthBytes + kRoomBytes);
  const std::int64_t metadata_once = (segments + 1) * 2 * kOffsetBytes + segments * kLengthBytes;
  return {work.bytes_read - metadata_once + planning + lengths, work.bytes_written};
}

Traffic append_tokens(const device::AppendTokensArgs& args, const kernels::Work& work) {
  const std::int64_t segments = args.cache.segments;
  const std::int64_t t = args.rows.per_segment;
  const std::int64_t row_bytes = row_bytes_of(args.cache);
  const kernels::LaunchConfig config = device::append_tokens_config(segments, t, row_bytes);
  // Every warp asks whether there is room; those that plan rows, where they begin.
  const std::int64_t room = warps_of(config) * (kLengthBytes + kRoomBytes);
  const auto planning_warps = static_cast<std::int64_t>(plans(t, copied_rows(row_bytes)).size());
  const std::int64_t planning = segments * planning_warps * kOffsetBytes;
  // Lengths are changed by another launch where a segment has several blocks.
  const std::int64_t lengths =
      blocks_of(config) > segments ? segments * (kLengthBytes + kRoomBytes) : 0;
  const std::int64_t metadata_once = (segments + 1) * kOffsetBytes + segments * kLengthBytes;
  return {work.bytes_read - metadata_once + room + planning + lengths, work.bytes_written};
}

Traffic remove_last_tokens(const device::RemoveLastTokensArgs& args, const kernels::Work& work) {
  return {work.bytes_read + args.cache.segments * kRoomBytes, work.bytes_written};
}

constexpr OperationTraffic kTraffic[] = {
    {"append_tokens", traffic_of<device::AppendTokensArgs, append_tokens>},
    {"compact_cache", traffic_of<device::CompactCacheArgs, compact_cache>},
    {"regrow_cache", traffic_of<device::RegrowCacheArgs, regrow_cache>},
    {"remove_last_tokens", traffic_of<device::RemoveLastTokensArgs, remove_last_tokens>},
};

}  // namespace

std::span<const OperationTraffic> cache_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
