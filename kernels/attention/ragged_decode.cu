#include "attention/ragged_decode.cuh"

#include "attention/ragged_decode_device.h"
#include "exec/device/dispatch.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "ragged_decode";
constexpr std::size_t kWorkspaceAlignment = 256;

std::int64_t shares_of(const RaggedDecodeArgs& args) {
  return args.shares > 0 ? args.shares : kDefaultDecodeShares;
}

std::size_t starts_bytes(std::int64_t segments) {
  const auto bytes = static_cast<std::size_t>(segments + 1) * sizeof(std::int64_t);
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

/// Calls body.template operator()<group>() with G rounded up to a power of two.
template <class Body>
void dispatch_group(std::int64_t group, const Body& body) {
  require_group(kName, group);
  if (group == 1) {
    body.template operator()<1>();
  } else if (group == 2) {
    body.template operator()<2>();
  } else if (group <= 4) {
    body.template operator()<4>();
  } else {
    body.template operator()<8>();
  }
}

}  // namespace

LaunchConfig decode_starts_config() {
  return {.grid = {1}, .block = {kDecodeThreads}};
}

LaunchConfig decode_shares_config(std::int64_t shares, std::int64_t head_dim, std::int64_t group) {
  std::size_t bytes = 0;
  dispatch_group(group, [&]<int kGroup>() {
    bytes = static_cast<std::size_t>(kDecodeWarps * kGroup * (head_dim + 2)) * sizeof(float);
  });
  return {
      .grid = {static_cast<unsigned>(shares)}, .block = {kDecodeThreads}, .shared_bytes = bytes};
}

LaunchConfig decode_merge_config(std::int64_t segments, std::int64_t group) {
  return {.grid = {static_cast<unsigned>(segments * group)}, .block = {kDecodeThreads}};
}

std::size_t ragged_decode_workspace_bytes(const RaggedDecodeArgs& args) {
  const std::int64_t slots = shares_of(args) + args.cache.segments;
  return starts_bytes(args.cache.segments) +
         static_cast<std::size_t>(slots * args.group * (args.cache.head_dim + 2)) * sizeof(float);
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
  auto* bytes = static_cast<unsigned char*>(workspace);
  const DecodeParams params{
      .cache = cache,
      .queries = args.queries,
      .float_queries = args.query_dtype == traces::DType::kF32,
      .group = static_cast<int>(args.group),
      .scale = args.scale,
      .softcap = args.softcap.value_or(0.0F),
      .out = args.out,
      .log_sums = args.log_sums,
      .shares = shares_of(args),
      .starts = reinterpret_cast<std::int64_t*>(bytes),
      .parts = reinterpret_cast<float*>(bytes + starts_bytes(cache.segments)),
  };
  dispatch_dtype(kName, cache.dtype, [&]<class T>() {
    dispatch_head_dim(kName, cache.head_dim, [&]<int kHeadDim>() {
      dispatch_group(args.group, [&]<int kGroup>() {
        launch<decode_starts_kernel>(decode_starts_config(), stream, params);
        launch<decode_shares_kernel<T, kHeadDim, kGroup>>(
            decode_shares_config(params.shares, cache.head_dim, args.group), stream, params);
        launch<decode_merge_kernel>(decode_merge_config(cache.segments, args.group), stream,
                                    params);
      });
    });
  });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
