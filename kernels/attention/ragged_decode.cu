#include "attention/ragged_decode.cuh"

#include "attention/ragged_decode_device.h"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "ragged_decode";
constexpr std::size_t kWorkspaceAlignment = 256;

std::int64_t shares_of(const RaggedDecodeArgs& args) {
  return args.shares > 0 ? args.shares : kDefaultDecodeShares;
}

}  // namespace

LaunchConfig decode_starts_config() {
  return {.grid = {1}, .block = {kDecodeThreads}};
}

LaunchConfig decode_shares_config(std::int64_t shares, std::int64_t head_dim, std::int64_t group) {
  std::size_t bytes = 0;
  dispatch_decode_group(kName, group, [&]<int kGroup>() {
    bytes = static_cast<std::size_t>(kDecodeWarps * kGroup * (head_dim + 2)) * sizeof(float);
  });
  return {
      .grid = {static_cast<unsigned>(shares)}, .block = {kDecodeThreads}, .shared_bytes = bytes};
}

LaunchConfig decode_merge_config(std::int64_t segments, std::int64_t group, std::int64_t head_dim) {
  return {.grid = {static_cast<unsigned>(segments * group)},
          .block = {blocks_for(head_dim, kWarpSize) * kWarpSize}};
}

std::size_t decode_starts_bytes(std::int64_t segments) {
  const auto bytes = static_cast<std::size_t>(segments + 1) * sizeof(std::int64_t);
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

std::size_t decode_workspace_bytes(std::int64_t shares, std::int64_t segments, std::int64_t group,
                                   std::int64_t head_dim) {
  return decode_starts_bytes(segments) +
         static_cast<std::size_t>((shares + segments) * group * (head_dim + 2)) * sizeof(float);
}

std::size_t ragged_decode_workspace_bytes(const RaggedDecodeArgs& args) {
  return decode_workspace_bytes(shares_of(args), args.cache.segments, args.group,
                                args.cache.head_dim);
}

void ragged_decode(const RaggedDecodeArgs& args, void* workspace, Stream& stream) {
  const OperationRange range(kName);
  const RaggedCacheView& cache = args.cache;
  if (args.query_dtype != traces::DType::kF32 && args.query_dtype != cache.dtype) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: queries of {} over a cache of {}, supported: F32 and {}", kName,
                            traces::name_of(args.query_dtype), traces::name_of(cache.dtype),
                            traces::name_of(cache.dtype)));
  }
  const DecodeParams<RaggedRows> params{
      .rows = {cache},
      .queries = args.queries,
      .float_queries = args.query_dtype == traces::DType::kF32,
      .group = static_cast<int>(args.group),
      .scale = args.scale,
      .softcap = args.softcap.value_or(0.0F),
      .out = args.out,
      .log_sums = args.log_sums,
      .shares = shares_of(args),
  };
  launch_decode(kName, params, cache.dtype, workspace, stream);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
