#include "adakv/token_selection.cuh"

#include <string>

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "token_selection";

struct SelectionWorkspace {
  explicit SelectionWorkspace(const TokenSelectionArgs& args) : layout(args.workspace) {
    const bool critical = args.norms != nullptr;
    const unsigned chunks = select_chunks(args.m, args.chunk_tokens);
    if (chunks > 1) {
      const std::int64_t stages = critical ? 2 : 1;
      histograms = layout.take<unsigned>(stages * args.units * kSelectRowBins);
      zeroed_bytes = layout.bytes();
      ranks = layout.take<Rank>(args.units * kSelectPasses);
      chunk_counts = layout.take<RankCounts>(args.units * chunks);
    }
    if (critical) {
      key_stride = (args.m + kSelectVectorTokens - 1) / kSelectVectorTokens * kSelectVectorTokens;
      keys = layout.take<unsigned>(args.units * key_stride);
    }
  }

  WorkspaceLayout layout;
  unsigned* histograms = nullptr;
  Rank* ranks = nullptr;
  RankCounts* chunk_counts = nullptr;
  unsigned* keys = nullptr;
  std::int64_t key_stride = 0;
  std::size_t zeroed_bytes = 0;  ///< of the beginning
};

void validate(const TokenSelectionArgs& args) {
  require_supported(args.units >= 0, kName, "a number of units of", args.units, "0 or more");
  require_supported(args.m >= 0, kName, "a row length of", args.m, "0 or more");
  require_supported(args.sinks >= 0, kName, "a number of sinks of", args.sinks, "0 or more");
  require_supported(args.window >= 0, kName, "a window of", args.window, "0 or more");
  const std::int64_t tokens = args.sinks + args.m + args.window;
  require_supported(tokens <= kSelectMaxTokens, kName, "a prompt length of", tokens,
                    "at most " + std::to_string(kSelectMaxTokens));
  require_supported(args.stride >= args.m, kName, "a row stride of", args.stride,
                    "the row length or more");
  require_supported(args.norms == nullptr || args.norms_stride >= args.m, kName,
                    "a row stride of the norms of", args.norms_stride, "the row length or more");
  require_supported(is_select_chunk(args.chunk_tokens), kName, "a chunk of", args.chunk_tokens,
                    "multiples of 4 up to " + std::to_string(kSelectMaxTokens));
  require_supported(is_select_grid(args.units, args.m, args.chunk_tokens), kName,
                    "a number of units of", args.units, "what fits a grid of 2^31 - 1 blocks");
}

SelectionParams make_params(const TokenSelectionArgs& args, const SelectionWorkspace& space) {
  SelectionParams params{};
  params.scores = args.scores;
  params.norms = args.norms;
  params.counts = args.counts;
  params.stride = args.stride;
  params.norms_stride = args.norms_stride;
  params.key_stride = space.key_stride;
  params.units = args.units;
  params.sinks = args.sinks;
  params.window = args.window;
  params.m = static_cast<unsigned>(args.m);
  params.chunk_tokens = static_cast<unsigned>(args.chunk_tokens);
  params.chunks = select_chunks(args.m, args.chunk_tokens);
  params.keys = space.keys;
  params.histograms = space.histograms;
  params.ranks = space.ranks;
  params.chunk_counts = space.chunk_counts;
  params.offsets = args.offsets;
  params.kept = args.kept;
  return params;
}

template <Stage S>
void enqueue_stage(const LaunchConfig& config, const SelectionParams& params, Stream& stream) {
  launch<count_row_digits<0, S>>(config, stream, params);
  launch<count_row_digits<1, S>>(config, stream, params);
  launch<count_row_digits<2, S>>(config, stream, params);
  launch<count_ranks<S>>(config, stream, params);
  launch<compact<S>>(config, stream, params);
}

}  // namespace

std::size_t token_selection_workspace_bytes(const TokenSelectionArgs& args) {
  TokenSelectionArgs unplaced = args;
  unplaced.workspace = nullptr;
  return SelectionWorkspace(unplaced).layout.bytes();
}

LaunchConfig select_chunks_config(const TokenSelectionArgs& args) {
  return {{static_cast<unsigned>(args.units) * select_chunks(args.m, args.chunk_tokens)},
          {kSelectThreads},
          0};
}

void token_selection(const TokenSelectionArgs& args, Stream& stream) {
  const OperationRange range(kName);
  validate(args);
  const SelectionWorkspace space(args);
  const SelectionParams params = make_params(args, space);
  const LaunchConfig config = select_chunks_config(args);
  launch<scan_offsets>(LaunchConfig{{1}, {kSelectThreads}, 0}, stream, params);
  const bool critical = args.norms != nullptr;
  if (params.chunks == 1) {
    if (critical) {
      launch<select_rows<true>>(config, stream, params);
    } else {
      launch<select_rows<false>>(config, stream, params);
    }
    return;
  }
  fill_device(args.workspace, 0, space.zeroed_bytes, stream);
  if (critical) {
    enqueue_stage<Stage::kFirst>(config, params, stream);
    enqueue_stage<Stage::kSecond>(config, params, stream);
  } else {
    enqueue_stage<Stage::kOnly>(config, params, stream);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
