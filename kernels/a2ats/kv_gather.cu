#include "a2ats/kv_gather.cuh"

#include <algorithm>
#include <vector>

#include "a2ats/hot_buffer.cuh"
#include "a2ats/kv_gather_device.h"
#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

/// Blocks of a launch over all segments: enough loads on their way for any bus, and multiprocessors
/// left for others.
constexpr std::int64_t kMaxGatherBlocks = 1024;
constexpr std::int64_t kVectorBytes = 16;

std::int64_t bytes_of_row(const KvRows& rows) {
  return row_bytes(rows.head_dim, static_cast<std::int64_t>(traces::size_of(rows.dtype)));
}

std::int64_t vectors_of_row(const char* operation, const KvRows& rows) {
  const std::int64_t bytes = bytes_of_row(rows);
  require_supported(bytes > 0 && bytes % kVectorBytes == 0, operation, "row of bytes", bytes,
                    "multiples of 16");
  return bytes / kVectorBytes;
}

/// A grid that shares out lists of up to `capacity` rows a segment.
LaunchConfig transfer_config(std::int64_t segments, std::int64_t capacity,
                             std::int64_t row_vectors) {
  const std::int64_t tiles = blocks_for(capacity * row_vectors, kGatherTile);
  const std::int64_t most =
      std::max<std::int64_t>(1, kMaxGatherBlocks / std::max<std::int64_t>(1, segments));
  return {.grid = {static_cast<unsigned>(segments * std::min(tiles, most))},
          .block = {kGatherThreads}};
}

void launch_transfer(RowTransfer transfer, std::int64_t segments, Stream& stream) {
  const LaunchConfig config = transfer_config(segments, transfer.capacity, transfer.row_vectors);
  transfer.blocks_per_segment =
      config.grid.x / static_cast<unsigned>(std::max<std::int64_t>(1, segments));
  launch<gather_rows_kernel>(config, stream, transfer);
}

std::span<const std::int32_t> list_of(const TokenLists& lists, std::int64_t s) {
  return {lists.tokens + s * lists.capacity,
          static_cast<std::size_t>(std::min(std::int64_t{lists.counts[s]}, lists.capacity))};
}

/// The state's arrays; the size function reads how far they reach.
HotState hot_state(const HotBuffersArgs& args, WorkspaceLayout& layout) {
  const std::int64_t segments = args.segments;
  const std::int64_t slots = segments * args.slots;
  const std::int64_t listed = segments * args.wanted.capacity;
  const bool lfu = args.policy == HotPolicy::kLfu;
  HotState state{};
  state.slots = args.slots;
  state.tokens = args.tokens;
  state.capacity = args.wanted.capacity;
  state.slot_of = layout.take<std::int32_t>(segments * args.tokens);
  state.headers = layout.take<HotHeader>(segments);
  state.orders = layout.take<std::int32_t>(2 * slots);
  state.token_of = layout.take<std::int32_t>(slots);
  state.last_use = layout.take<std::int32_t>(slots);
  state.uses = layout.take<std::int32_t>(slots);
  state.missing = layout.take<std::int32_t>(listed);
  state.targets = layout.take<std::int32_t>(listed);
  state.places = layout.take<std::int32_t>(listed);
  state.rest = layout.take<std::int32_t>(lfu ? slots : 0);
  state.used = layout.take<std::int32_t>(lfu ? 2 * slots : 0);
  state.wanted = args.wanted.tokens;
  state.wanted_counts = args.wanted.counts;
  state.rows = args.rows;
  state.misses = args.misses;
  state.bypassed = args.bypassed;
  return state;
}

}  // namespace

LaunchConfig gather_rows_config(const GatherRowsArgs& args) {
  return transfer_config(args.segments, args.lists.capacity,
                         vectors_of_row("gather_rows", args.source));
}

void gather_rows(const GatherRowsArgs& args, Stream& stream) {
  constexpr const char* kName = "gather_rows";
  const OperationRange range(kName);
  launch_transfer({.source = static_cast<const unsigned char*>(args.source.rows),
                   .source_rows = args.source.segment_rows,
                   .target = static_cast<unsigned char*>(args.target),
                   .target_rows = args.lists.capacity,
                   .tokens = args.lists.tokens,
                   .targets = nullptr,
                   .counts = args.lists.counts,
                   .capacity = args.lists.capacity,
                   .row_vectors = vectors_of_row(kName, args.source),
                   .blocks_per_segment = 1},
                  args.segments, stream);
}

void gather_rows_by_copies(const GatherRowsArgs& args, Stream& stream) {
  const OperationRange range("gather_rows_by_copies");
  thread_local std::vector<TokenRun> runs;
  thread_local std::vector<CopyPiece> pieces;
  const std::int64_t bytes = bytes_of_row(args.source);
  pieces.clear();
  for (std::int64_t s = 0; s < args.segments; ++s) {
    const auto* from =
        static_cast<const unsigned char*>(args.source.rows) + s * args.source.segment_rows * bytes;
    auto* to = static_cast<unsigned char*>(args.target) + s * args.lists.capacity * bytes;
    find_runs(list_of(args.lists, s), runs);
    for (const TokenRun& run : runs) {
      const std::int64_t run_bytes = run.count * bytes;
      pieces.push_back({to, from + run.first * bytes, static_cast<std::size_t>(run_bytes)});
      to += run_bytes;
    }
  }
  copy_pieces_to_device(pieces, stream);
}

void gather_rows_by_staging(const GatherRowsArgs& args, void* staging, Stream& stream) {
  const OperationRange range("gather_rows_by_staging");
  thread_local std::vector<CopyPiece> pieces;
  const std::int64_t segment_bytes = args.lists.capacity * bytes_of_row(args.source);
  pieces.clear();
  for (std::int64_t s = 0; s < args.segments; ++s) {
    const std::span<const std::int32_t> tokens = list_of(args.lists, s);
    auto* staged = static_cast<unsigned char*>(staging) + s * segment_bytes;
    kernels::gather_rows(args.source, s, tokens, staged);
    if (!tokens.empty()) {
      pieces.push_back({static_cast<unsigned char*>(args.target) + s * segment_bytes, staged,
                        tokens.size() * static_cast<std::size_t>(bytes_of_row(args.source))});
    }
  }
  copy_pieces_to_device(pieces, stream);
}

std::size_t hot_buffer_state_bytes(const HotBuffersArgs& args) {
  WorkspaceLayout layout(nullptr);
  hot_state(args, layout);
  return layout.bytes();
}

void reset_hot_buffers(const HotBuffersArgs& args, Stream& stream) {
  WorkspaceLayout layout(args.state);
  const HotState state = hot_state(args, layout);
  const auto segments = static_cast<std::size_t>(args.segments);
  fill_device(state.slot_of, 0xff,
              segments * static_cast<std::size_t>(args.tokens) * sizeof(std::int32_t), stream);
  fill_device(state.headers, 0, segments * sizeof(HotHeader), stream);
}

LaunchConfig serve_hot_buffers_config(const HotBuffersArgs& args) {
  return {.grid = {static_cast<unsigned>(args.segments)}, .block = {kHotThreads}};
}

void serve_hot_buffers(const HotBuffersArgs& args, Stream& stream) {
  constexpr const char* kName = "serve_hot_buffers";
  const OperationRange range(kName);
  WorkspaceLayout layout(args.state);
  const HotState state = hot_state(args, layout);
  const RowTransfer fetch{.source = static_cast<const unsigned char*>(args.source.rows),
                          .source_rows = args.source.segment_rows,
                          .target = static_cast<unsigned char*>(args.pool),
                          .target_rows = args.slots + args.bypass_rows,
                          .tokens = state.missing,
                          .targets = state.targets,
                          .counts = args.misses,
                          .capacity = state.capacity,
                          .row_vectors = vectors_of_row(kName, args.source),
                          .blocks_per_segment = 1};
  if (args.policy == HotPolicy::kLfu) {
    launch<serve_hot_kernel<true>>(serve_hot_buffers_config(args), stream, state);
  } else {
    launch<serve_hot_kernel<false>>(serve_hot_buffers_config(args), stream, state);
  }
  launch_transfer(fetch, args.segments, stream);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
