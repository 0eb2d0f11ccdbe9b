#include "a2ats/windowed_rope.cuh"

#include "a2ats/windowed_rope_device.h"
#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "windowed_rope";
/// Dimensions of a row and columns are counted in 32 bits, blocks of a grid in 31.
constexpr std::int64_t kMaxCount = std::int64_t{1} << 30;
constexpr std::int64_t kMaxBlocks = (std::int64_t{1} << 31) - 1;

void require(bool kept, std::string_view broken) {
  require_contract(kept, kName, broken);
}

void validate(const RotateRowsArgs& args) {
  require(args.head_dim >= 0 && args.head_dim <= kMaxCount, "a head size is not in [0, 2^30]");
  if (args.rope_dim < 0 || args.rope_dim % 2 != 0 || args.rope_dim > args.head_dim) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: {} rotated dimensions have no kernel, supported: even, 0 to {}",
                            kName, args.rope_dim, args.head_dim));
  }
  require(args.row_count >= 0, "a number of rows is negative");
  require(args.row_count <= kMaxBlocks / blocks_for(args.head_dim + 1, kRotateThreads),
          "the rows do not fit a grid of 2^31 - 1 blocks");
}

void validate(const WindowedScoresArgs& args) {
  require(args.rows >= 0, "a number of rows is negative");
  require(args.tokens >= 0 && args.tokens <= kMaxCount, "a number of tokens is not in [0, 2^30]");
  require(args.stride >= args.tokens, "rows of scores overlap");
  require(args.rows <= kMaxBlocks / blocks_for(args.tokens + 1, kWindowedThreads),
          "the rows do not fit a grid of 2^31 - 1 blocks");
}

}  // namespace

LaunchConfig rotate_rows_config(const RotateRowsArgs& args) {
  const std::int64_t items = rotate_items(args.head_dim, args.rope_dim / 2);
  return {{blocks_for(args.row_count * items, kRotateThreads)}, {kRotateThreads}, 0};
}

void rotate_rows(const RotateRowsArgs& args, Stream& stream) {
  const OperationRange range(kName);
  validate(args);
  const RotateProblem problem{args.rows,
                              args.row_count,
                              args.cos,
                              args.sin,
                              static_cast<int>(args.head_dim),
                              static_cast<int>(args.rope_dim / 2),
                              args.pairing == traces::RopePairing::kInterleaved,
                              args.out};
  launch<rotate_rows_kernel>(rotate_rows_config(args), stream, problem);
}

LaunchConfig windowed_scores_config(const WindowedScoresArgs& args) {
  return {{static_cast<unsigned>(args.rows) * blocks_for(args.tokens, kWindowedThreads)},
          {kWindowedThreads},
          0};
}

void windowed_scores(const WindowedScoresArgs& args, Stream& stream) {
  const OperationRange range(kName);
  validate(args);
  const WindowedProblem problem{args.near,
                                args.far,
                                args.positions,
                                args.tokens,
                                args.stride,
                                args.window,
                                blocks_for(args.tokens, kWindowedThreads),
                                args.out};
  launch<windowed_scores_kernel>(windowed_scores_config(args), stream, problem);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
