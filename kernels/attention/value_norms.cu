#include "attention/value_norms.cuh"

#include <limits>

#include "attention/value_norms_device.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "value_norms";

void check(const ValueNormsArgs& args) {
  require_group(kOperation, args.group);
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {});
  constexpr std::int64_t kLargest = std::numeric_limits<int>::max() / 512;
  const auto fits = [](std::int64_t count) { return count >= 0 && count <= kLargest; };
  if (!fits(args.kv_heads) || !fits(args.tokens) || !fits(args.width)) {
    throw Error(ErrorKind::kInternal,
                fmt::format("{}: {} KV heads, {} tokens, width {}: each must be 0 to {}",
                            kOperation, args.kv_heads, args.tokens, args.width, kLargest));
  }
}

}  // namespace

LaunchConfig value_norms_config(const ValueNormsArgs& args) {
  LaunchConfig config;
  config.grid = {blocks_for(args.tokens, kTileRows),
                 static_cast<unsigned>(args.kv_heads * args.group)};
  config.block = {kTileThreads};
  return config;
}

void value_norms(const ValueNormsArgs& args, Stream& stream) {
  check(args);
  const OperationRange range(kOperation);
  dispatch_dtype(kOperation, args.value_dtype, [&]<class X> {
    dispatch_dtype(kOperation, args.projection_dtype, [&]<class W> {
      const ValueNormsTask<X, W> task{static_cast<const X*>(args.values),
                                      static_cast<const W*>(args.projections),
                                      args.norms,
                                      static_cast<int>(args.group),
                                      static_cast<int>(args.tokens),
                                      static_cast<int>(args.head_dim),
                                      static_cast<int>(args.width)};
      launch<value_norms_kernel<X, W>>(value_norms_config(args), stream, task);
    });
  });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
