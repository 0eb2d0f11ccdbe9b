#pragma once
// Lets tests multiply matrices with warp_mma alone.

#include <cstdint>

#include "exec/device/runtime.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// sums[p] += a[p] * transpose(b[p]) for problems p, one warp each; all in device memory.
/// @param a [problems, 16, 16] of `dtype` F16 or BF16
/// @param b [problems, 8, 16] of `dtype`
/// @param sums [problems, 16, 8]
void probe_warp_mma(traces::DType dtype, std::int64_t problems, const void* a, const void* b,
                    float* sums, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
