#include "a2ats/query_moment.cuh"

#include <algorithm>

#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "query_moment";
// Rows below which another share costs more than it brings.
constexpr std::int64_t kRowsPerShare = 128;

void check(const QueryMomentArgs& args) {
  require_group(kOperation, args.group);
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {});
  require_supported(args.kv_heads >= 0 && args.kv_heads <= 65535, kOperation, "number of KV heads",
                    args.kv_heads, "0 to 65535");
  require_contract(args.rows >= 0, kOperation, "a negative number of rows");
  const auto size = static_cast<std::int64_t>(traces::size_of(args.dtype));
  const bool aligned = reinterpret_cast<std::uintptr_t>(args.queries) % 16 == 0 &&
                       args.head_stride * size % 16 == 0 && args.row_stride * size % 16 == 0;
  if (!aligned) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: queries and strides must be multiples of 16 bytes", kOperation));
  }
}

std::int64_t tiles(const QueryMomentArgs& args) {
  const std::int64_t side = blocks_for(args.head_dim, kMomentTile);
  return side * (side + 1) / 2;
}

std::int64_t share_count(const QueryMomentArgs& args) {
  return std::min<std::int64_t>(kMomentShares, blocks_for(args.rows * args.group, kRowsPerShare));
}

}  // namespace

std::size_t query_moment_workspace_bytes(const QueryMomentArgs& args) {
  return static_cast<std::size_t>(args.kv_heads * share_count(args) * tiles(args) *
                                  kMomentTileSize) *
         sizeof(double);
}

LaunchConfig moment_shares_config(const QueryMomentArgs& args) {
  return {{static_cast<unsigned>(tiles(args)), static_cast<unsigned>(share_count(args)),
           static_cast<unsigned>(args.kv_heads)},
          {kMomentThreads}};
}

LaunchConfig add_shares_config(const QueryMomentArgs& args) {
  return {{static_cast<unsigned>(tiles(args)), kMomentTileSize / kMomentThreads,
           static_cast<unsigned>(args.kv_heads)},
          {kMomentThreads}};
}

void query_moment(const QueryMomentArgs& args, Stream& stream) {
  check(args);
  if (args.rows == 0) {
    return;
  }
  const OperationRange range(kOperation);
  auto* shares = static_cast<double*>(args.workspace);
  dispatch_dtype(kOperation, args.dtype, [&]<class T> {
    const QueryMomentTask<T> task{static_cast<const T*>(args.queries),
                                  args.head_stride,
                                  args.row_stride,
                                  args.rows,
                                  shares,
                                  static_cast<int>(args.group),
                                  static_cast<int>(args.head_dim)};
    launch<moment_shares_kernel<T>>(moment_shares_config(args), stream, task);
  });
  launch<add_shares_kernel>(add_shares_config(args), stream, shares,
                            static_cast<int>(share_count(args)), args.moments,
                            static_cast<int>(args.head_dim));
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
