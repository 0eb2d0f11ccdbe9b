#include <algorithm>
#include <climits>

#include "adakv/window_scores.cuh"
#include "adakv/window_scores_device.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "window_scores";
constexpr std::int64_t kMaxTokens = std::int64_t{1} << 30;  // tile indices stay in int
constexpr std::int64_t kMaxGridY = 65535;
constexpr std::int64_t kVectorBytes = 16;
constexpr std::size_t kSectionAlignment = 256;

/// What the launch configurations need of WindowTile<T, D>.
struct TileShape {
  int threads;
  int keys;
  int shared_bytes;
};

TileShape tile_shape(traces::DType dtype, std::int64_t head_dim) {
  TileShape shape{};
  dispatch_dtype(kOperation, dtype, [&]<class T> {
    dispatch_head_dim(kOperation, head_dim, [&]<int D> {
      using Tile = WindowTile<T, D>;
      shape = {Tile::kThreads, Tile::kKeys, Tile::kSharedBytes};
    });
  });
  return shape;
}

std::int64_t heads(const WindowScoresArgs& args) {
  return args.sequences * args.kv_heads;
}
std::int64_t rows(const WindowScoresArgs& args) {
  return args.group * args.queries_count;
}
std::int64_t tiles(const WindowScoresArgs& args) {
  return blocks_for(args.tokens, window_scores_tile_keys(args.dtype, args.head_dim));
}
std::int64_t pooling_kernel(const Pooling& pooling) {
  return pooling.kind == Pooling::Kind::kNone ? 1 : pooling.kernel;
}

/// Bytes of the statistics by tile, which the statistics of rows follow.
std::size_t tile_statistics_bytes(const WindowScoresArgs& args) {
  const std::size_t bytes =
      static_cast<std::size_t>(heads(args) * tiles(args) * rows(args)) * sizeof(RowStatistics);
  return (bytes + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

LaunchConfig tile_config(const WindowScoresArgs& args, unsigned blocks) {
  const TileShape shape = tile_shape(args.dtype, args.head_dim);
  return {{blocks, static_cast<unsigned>(heads(args))},
          {static_cast<unsigned>(shape.threads)},
          static_cast<std::size_t>(shape.shared_bytes)};
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % kVectorBytes == 0;
}

void validate(const WindowScoresArgs& args) {
  require_group(kOperation, args.group);
  const std::int64_t kernel = pooling_kernel(args.pooling);
  if (kernel < 1 || kernel > kMaxPoolingKernel || kernel % 2 == 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: pooling over {} tokens has no kernel, supported: odd, 1 to {}",
                            kOperation, kernel, kMaxPoolingKernel));
  }
  const auto element_bytes = static_cast<std::int64_t>(traces::size_of(args.dtype));
  const auto is_whole = [&](std::int64_t stride) {
    return stride * element_bytes % kVectorBytes == 0;
  };
  const auto require = [](bool kept, std::string_view broken) {
    require_contract(kept, kOperation, broken);
  };
  require(args.sequences > 0 && args.kv_heads > 0 && heads(args) <= kMaxGridY,
          "sequences times KV heads are not in [1, 65535]");
  require(args.queries_count > 0 && args.queries_count <= kMaxTokens, "there are no queries");
  require(args.tokens > 0 && args.tokens <= kMaxTokens, "there are no keys, or more than 2^30");
  require(args.scored_tokens >= 0 && args.scored_tokens <= args.tokens,
          "more tokens to score than keys");
  require(!args.attention.sliding_window || *args.attention.sliding_window > 0,
          "the sliding window is empty");
  require(!args.attention.softcap || *args.attention.softcap > 0.0, "the softcap is not positive");
  require(is_aligned(args.queries) && is_aligned(args.keys), "queries or keys are not aligned");
  require(
      is_whole(args.sequence_stride) && is_whole(args.head_stride) && is_whole(args.token_stride),
      "a stride of the keys is no multiple of 16 bytes");
}

WindowProblem problem_of(const WindowScoresArgs& args) {
  const std::int64_t sliding_window = args.attention.sliding_window.value_or(INT_MAX);
  return {.positions = args.positions,
          .sequence_stride = args.sequence_stride,
          .head_stride = args.head_stride,
          .token_stride = args.token_stride,
          .kv_heads = static_cast<int>(args.kv_heads),
          .group = static_cast<int>(args.group),
          .queries = static_cast<int>(args.queries_count),
          .tokens = static_cast<int>(args.tokens),
          .scored_tokens = static_cast<int>(args.scored_tokens),
          .sliding_window = static_cast<int>(std::min<std::int64_t>(sliding_window, INT_MAX)),
          .scale = static_cast<float>(args.attention.scale),
          .softcap = static_cast<float>(args.attention.softcap.value_or(0.0))};
}

template <class T, int D>
void enqueue(const WindowScoresArgs& args, Stream& stream) {
  const WindowProblem problem = problem_of(args);
  const std::int64_t kernel = pooling_kernel(args.pooling);
  const ScoreStages stages{.by_kv_head = args.unit == ScoreUnit::kKvHead,
                           .reduce = args.reduce,
                           .pooling = args.pooling.kind,
                           .pooling_kernel = static_cast<int>(kernel),
                           .reach = static_cast<int>(kernel / 2),
                           .tile_columns = static_cast<int>(window_scores_tile_columns(args))};
  const auto* queries = static_cast<const T*>(args.queries);
  const auto* keys = static_cast<const T*>(args.keys);
  auto* tile_statistics = static_cast<RowStatistics*>(args.workspace);
  auto* row_statistics = reinterpret_cast<RowStatistics*>(static_cast<std::byte*>(args.workspace) +
                                                          tile_statistics_bytes(args));
  launch<row_statistics_kernel<T, D>>(window_statistics_config(args), stream, problem, queries,
                                      keys, tile_statistics);
  launch<merge_statistics_kernel>(window_merge_config(args), stream, problem,
                                  WindowTile<T, D>::kKeys, static_cast<int>(tiles(args)),
                                  tile_statistics, row_statistics);
  launch<column_scores_kernel<T, D>>(window_columns_config(args), stream, problem, stages, queries,
                                     keys, row_statistics, args.scores);
}

}  // namespace

std::int64_t window_scores_tile_keys(traces::DType dtype, std::int64_t head_dim) {
  return tile_shape(dtype, head_dim).keys;
}

std::int64_t window_scores_tile_columns(const WindowScoresArgs& args) {
  return window_scores_tile_keys(args.dtype, args.head_dim) - pooling_kernel(args.pooling) / 2 * 2;
}

std::size_t window_scores_workspace_bytes(const WindowScoresArgs& args) {
  return tile_statistics_bytes(args) +
         static_cast<std::size_t>(heads(args) * rows(args)) * sizeof(RowStatistics);
}

LaunchConfig window_statistics_config(const WindowScoresArgs& args) {
  return tile_config(args, static_cast<unsigned>(tiles(args)));
}

LaunchConfig window_merge_config(const WindowScoresArgs& args) {
  return {{blocks_for(rows(args), kMergeRows), static_cast<unsigned>(heads(args))},
          {kMergeRows, kMergeSlots}};
}

LaunchConfig window_columns_config(const WindowScoresArgs& args) {
  return tile_config(args, blocks_for(args.scored_tokens, window_scores_tile_columns(args)));
}

void window_scores(const WindowScoresArgs& args, Stream& stream) {
  validate(args);
  const OperationRange range(kOperation);
  if (args.scored_tokens == 0) {
    return;
  }
  dispatch_dtype(kOperation, args.dtype, [&]<class T> {
    dispatch_head_dim(kOperation, args.head_dim, [&]<int D> { enqueue<T, D>(args, stream); });
  });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
