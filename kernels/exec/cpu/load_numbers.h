#pragma once
// Numbers as files and caches store them, converted with the machine's vector instructions.

#include <cstddef>
#include <cstdint>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Converts n numbers of `dtype` at `source`, which may have any alignment, to fp32.
/// Throws Error(kInternal) for I32.
void load_numbers(traces::DType dtype, const std::byte* source, std::int64_t n, float* out);

}  // namespace kvsieve::kernels
