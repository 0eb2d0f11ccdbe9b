#include "attention/sparse_decode.cuh"

#include <algorithm>

#include "attention/sparse_decode_device.h"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "sparse_decode";

std::int64_t shares_of(const SparseDecodeArgs& args) {
  if (args.shares > 0) {
    return args.shares;
  }
  // Blocks without a row would only be started.
  return std::clamp<std::int64_t>(args.segments * args.capacity, 1, kDefaultDecodeShares);
}

}  // namespace

std::size_t sparse_decode_workspace_bytes(const SparseDecodeArgs& args) {
  return decode_workspace_bytes(shares_of(args), args.segments, args.group, args.cache.head_dim);
}

void sparse_decode(const SparseDecodeArgs& args, void* workspace, Stream& stream) {
  const OperationRange range(kName);
  const KvRows& cache = args.cache;
  const auto value_offset = static_cast<std::size_t>(cache.head_dim) * traces::size_of(cache.dtype);
  const DecodeParams<ListedRows> params{
      .rows = {.cache = cache,
               .first_values = static_cast<const unsigned char*>(cache.rows) + value_offset,
               .segment_count = args.segments,
               .list = args.rows,
               .capacity = args.capacity,
               .counts = args.counts},
      .queries = args.queries,
      .float_queries = true,
      .group = static_cast<int>(args.group),
      .scale = args.scale,
      .softcap = args.softcap.value_or(0.0F),
      .out = args.out,
      .log_sums = args.log_sums,
      .shares = shares_of(args),
  };
  launch_decode(kName, params, cache.dtype, workspace, stream);
}

LaunchConfig merge_partial_config(const MergePartialArgs& args) {
  return {.grid = {blocks_for(args.n, kMergeWarps)}, .block = {kMergeThreads}};
}

void merge_partial(const MergePartialArgs& args, Stream& stream) {
  const OperationRange range("merge_partial");
  launch<merge_partial_kernel>(merge_partial_config(args), stream, args);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
