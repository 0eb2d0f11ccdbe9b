// From a prompt's keys to the tokens that each head keeps.

#include <algorithm>
#include <limits>

#include "adakv/budget_allocation_device.h"
#include "adakv/token_selection_device.h"
#include "adakv/window_scores_device.h"
#include "traffic/kernel_tiles.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

using kernels::kSelectPasses;
using kernels::kSelectRowBins;

constexpr std::int64_t kNumberBytes = sizeof(float);
constexpr std::int64_t kCountBytes = sizeof(std::int32_t);
constexpr std::int64_t kOffsetBytes = sizeof(std::int64_t);
constexpr std::int64_t kVectorBytes = 16;
/// Of a row, or of a row and tile: maximum and sum.
constexpr std::int64_t kStatisticsBytes = 2 * kNumberBytes;

/// What window_scores works on, with positions on the host.
class Window {
 public:
  explicit Window(const device::WindowScoresArgs& args)
      : m_args(args), m_positions(from_device(args.positions, args.queries_count)) {}

  [[nodiscard]] std::int64_t row_bytes() const {
    return m_args.head_dim * element_bytes(m_args.dtype);
  }
  [[nodiscard]] std::int64_t tile_keys() const {
    return device::window_scores_tile_keys(m_args.dtype, m_args.head_dim);
  }
  [[nodiscard]] std::int64_t position(std::int64_t query) const {
    return m_positions[static_cast<std::size_t>(query)];
  }
  [[nodiscard]] std::int64_t sliding_window() const {
    return m_args.attention.sliding_window.value_or(std::numeric_limits<int>::max());
  }

  /// Positions that a warp's lanes look at together while each searches for its keys' viewers.
  [[nodiscard]] std::int64_t searched_positions(const std::vector<std::int64_t>& first_keys,
                                                const std::vector<std::int64_t>& last_keys) const {
    std::vector<std::int64_t> behind;
    for (const std::int64_t key : last_keys) {
      behind.push_back(key + sliding_window());
    }
    return searched_positions(first_keys) + searched_positions(behind);
  }

  /// First query, counted in stages, and last of those that see a key of a tile.
  struct Viewers {
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };
  [[nodiscard]] Viewers viewers(std::int64_t first_key, std::int64_t last_key) const {
    const auto before = [&](std::int64_t position) {
      return std::lower_bound(m_positions.begin(), m_positions.end(), position) -
             m_positions.begin();
    };
    return {before(first_key) / kStageQueries * kStageQueries, before(last_key + sliding_window())};
  }

  /// Tiles of keys that a query sees.
  [[nodiscard]] std::int64_t seen_tiles(std::int64_t query) const {
    const std::int64_t end = std::min(position(query) + 1, m_args.tokens);
    const std::int64_t begin =
        std::min(std::max<std::int64_t>(0, position(query) - sliding_window() + 1), end);
    return begin < end ? (end - 1) / tile_keys() + 1 - begin / tile_keys() : 0;
  }

 private:
  [[nodiscard]] std::int64_t searched_positions(const std::vector<std::int64_t>& bounds) const {
    std::vector<LaneSearch> lanes;
    for (const std::int64_t bound : bounds) {
      lanes.push_back({0, m_args.queries_count, bound});
    }
    return searched_elements(m_positions, std::move(lanes));
  }

  const device::WindowScoresArgs& m_args;
  std::vector<std::int32_t> m_positions;
};

/// Bytes that blocks of launches 1 and 3 read, and the rows that they compute.
struct TileReads {
  std::int64_t keys = 0;
  std::int64_t queries = 0;  ///< of all members
  std::int64_t lookups = 0;  ///< positions and statistics
  std::int64_t rows = 0;     ///< of all members
};

/// Of one block. @param statistics_bytes that a warp reads of each row besides its position
TileReads tile_reads(const device::WindowScoresArgs& args, const Window& window,
                     std::int64_t first_key, std::int64_t warps, std::int64_t statistics_bytes) {
  const std::int64_t first_token = std::max<std::int64_t>(first_key, 0);
  const std::int64_t last_token = std::min(first_key + window.tile_keys(), args.tokens) - 1;
  TileReads reads;
  // One thread finds out who sees the tile.
  reads.lookups = window.searched_positions({first_token}, {last_token}) * kCountBytes;
  const Window::Viewers viewers = window.viewers(first_token, last_token);
  if (viewers.begin >= viewers.end) {
    return reads;
  }
  reads.rows = args.group * (viewers.end - viewers.begin);
  // Keys that are not there stand for the first or the last one, a fragment or a copy at a time.
  const std::int64_t row_vectors = window.row_bytes() / kVectorBytes;
  const bool in_registers = keeps_keys_in_registers(args.dtype);
  const std::int64_t key_lanes = in_registers ? kWarpLanes / kFragmentKeys : row_vectors;
  reads.keys = vectors_asked_for({first_key, window.tile_keys(), key_lanes, args.tokens}) *
               (window.row_bytes() / key_lanes);
  for (std::int64_t query = viewers.begin; query < viewers.end; query += kStageQueries) {
    // Queries that a stage lacks repeat the last. A lane has a row of either half of the stage.
    reads.queries += args.group *
                     vectors_asked_for({query, kStageQueries, row_vectors, args.queries_count}) *
                     kVectorBytes;
    for (const std::int64_t half : {query, query + kStageQueries / 2}) {
      reads.lookups += args.group * warps *
                       std::clamp<std::int64_t>(args.queries_count - half, 1, kStageQueries / 2) *
                       (kCountBytes + statistics_bytes);
    }
  }
  return reads;
}

/// Launch 2 of one head: of a row the maximum of each tile that it sees, then maximum and sum;
/// every warp reads the positions of its rows.
std::int64_t merge_reads(const device::WindowScoresArgs& args, const Window& window) {
  const kernels::LaunchConfig merge = device::window_merge_config(args);
  const std::int64_t rows = args.group * args.queries_count;
  std::int64_t bytes = 0;
  for (std::int64_t first = 0; first < rows; first += merge.block.x) {
    std::vector<std::int64_t> queries;
    for (std::int64_t row = first; row < std::min(first + merge.block.x, rows); ++row) {
      queries.push_back(row % args.queries_count);
      bytes += window.seen_tiles(queries.back()) * (kNumberBytes + kStatisticsBytes);
    }
    bytes += warps_of_block(merge) * distinct(std::move(queries)) * kCountBytes;
  }
  return bytes;
}

/// Launch 3 of one head: each lane counts the viewers of its key, if that gets a score.
std::int64_t counted_viewers(const device::WindowScoresArgs& args, const Window& window,
                             std::int64_t first_key) {
  std::int64_t lookups = 0;
  for (std::int64_t first = first_key; first < first_key + window.tile_keys();
       first += kWarpLanes) {
    std::vector<std::int64_t> keys;
    for (std::int64_t key = first; key < first + kWarpLanes; ++key) {
      if (key >= 0 && key < args.scored_tokens) {
        keys.push_back(key);
      }
    }
    lookups += window.searched_positions(keys, keys);
  }
  return lookups * kCountBytes;
}

Traffic window_scores(const device::WindowScoresArgs& args, const kernels::Work& work) {
  const Window window(args);
  const std::int64_t heads = args.sequences * args.kv_heads;
  const std::int64_t head_rows = args.group * args.queries_count;
  TileReads all;
  const auto add = [&](const TileReads& reads) {
    all.keys += reads.keys;
    all.queries += reads.queries;
    all.lookups += reads.lookups;
  };
  const kernels::LaunchConfig statistics = device::window_statistics_config(args);
  for (std::int64_t tile = 0; tile < statistics.grid.x; ++tile) {
    const std::int64_t first_key = tile * window.tile_keys();
    const TileReads reads = tile_reads(args, window, first_key, warps_of_block(statistics), 0);
    add(reads);
    all.rows += reads.rows;
  }
  const kernels::LaunchConfig columns = device::window_columns_config(args);
  const std::int64_t tile_columns = device::window_scores_tile_columns(args);
  const std::int64_t halo = (window.tile_keys() - tile_columns) / 2;
  for (std::int64_t tile = 0; tile < columns.grid.x; ++tile) {
    const std::int64_t first_key = tile * tile_columns - halo;
    add(tile_reads(args, window, first_key, warps_of_block(columns), kStatisticsBytes));
    all.lookups += counted_viewers(args, window, first_key);
  }
  // The work has the keys twice and the queries once.
  const std::int64_t keys_again = all.keys - 2 * args.tokens * window.row_bytes();
  const std::int64_t queries_again = all.queries - head_rows * window.row_bytes();
  return {work.bytes_read +
              heads * (keys_again + queries_again + all.lookups + merge_reads(args, window)),
          work.bytes_written + heads * (all.rows + head_rows) * kStatisticsBytes};
}

Traffic budget_allocation(const device::BudgetAllocationArgs& args, const kernels::Work& work) {
  const std::int64_t rows = args.batch * args.heads;
  const std::int64_t histograms = rows * kSelectRowBins * kCountBytes;
  // To add them up from the top, and to find the threshold's bin.
  const std::int64_t histogram_reads = 2 * histograms;
  // Counts above a pass's bins: before they are added up; and above the bin that was found, with
  // those at it after the last pass.
  const std::int64_t above = rows * (kSelectPasses + (kSelectPasses - 1) + 2) * kCountBytes;
  // A layer's prefix: every warp that counts by it reads it, and the second pass extends it.
  const std::int64_t prefixes =
      (kSelectPasses - 1) * warps_of(device::count_layer_digits_config(args)) * kCountBytes +
      (kSelectPasses - 2) * args.batch * kCountBytes;
  const std::int64_t narrowed = (kSelectPasses - 1) * (rows + args.batch) * kCountBytes;
  return {work.bytes_read + histogram_reads + above + prefixes,
          work.bytes_written + histograms + narrowed};
}

Traffic token_selection(const device::TokenSelectionArgs& args, const kernels::Work& work) {
  const std::vector<std::int32_t> counts = from_device(args.counts, args.units);
  const std::int64_t stages = args.norms == nullptr ? 1 : 2;
  const std::int64_t warps = warps_of(device::select_chunks_config(args));
  // Rows of one chunk: a pass a digit and a visit for each stage; the work has those of one.
  const std::int64_t scores = args.units * args.m * kNumberBytes;
  std::int64_t loaded = work.bytes_read + (stages - 1) * (kSelectPasses + 1) * scores;
  std::int64_t stored = work.bytes_written;
  if (stages == 2) {
    // The second stage's keys: norms of what the first one left.
    stored += scores;
    for (const std::int32_t count : counts) {
      loaded += (args.m - count / 2) * kNumberBytes;
    }
  }
  // Counts to scan them; counts for each stage and for the place of the window, and offsets.
  loaded += args.units * kCountBytes + warps * ((stages + 1) * kCountBytes + kOffsetBytes);
  stored += (args.units + 1) * kOffsetBytes + args.units * (args.sinks + args.window) * kCountBytes;
  return {loaded, stored};
}

constexpr OperationTraffic kTraffic[] = {
    {"budget_allocation", traffic_of<device::BudgetAllocationArgs, budget_allocation>},
    {"token_selection", traffic_of<device::TokenSelectionArgs, token_selection>},
    {"window_scores", traffic_of<device::WindowScoresArgs, window_scores>},
};

}  // namespace

std::span<const OperationTraffic> eviction_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
