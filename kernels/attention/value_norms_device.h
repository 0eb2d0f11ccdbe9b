#pragma once
// Value norms on the device (value_norms of dense_attention.h for a whole layer).

#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// One layer. Pointers are device memory, aligned to 16 bytes, dense in the shape given.
struct ValueNormsArgs {
  std::int64_t kv_heads = 0;  ///< Hkv
  std::int64_t group = 0;     ///< G; Hq = Hkv G, query head h reads KV head h / G
  std::int64_t tokens = 0;    ///< T
  std::int64_t head_dim = 0;  ///< d
  std::int64_t width = 0;     ///< D, any; a multiple of 8 is read 16 bytes at a time
  traces::DType value_dtype{};
  traces::DType projection_dtype{};
  const void* values = nullptr;       ///< [Hkv, T, d] value_dtype
  const void* projections = nullptr;  ///< [Hq, d, D] projection_dtype
  float* norms = nullptr;             ///< [Hq, T]
};

/// Blocks and threads of the launch.
[[nodiscard]] LaunchConfig value_norms_config(const ValueNormsArgs& args);

/// Enqueues norms[h, j] = || V_j W_h ||_1 of every query head and token; the product [T, D] is
/// never stored. fp32, the same bits on every run.
/// Throws Error(kUsage) for a head size, group or dtype without a kernel, Error(kInternal) for
/// negative or too large counts.
void value_norms(const ValueNormsArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
