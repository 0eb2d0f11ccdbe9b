#pragma once
// The decode step with a given instruction set, for tests.

#include "exec/cpu/simd.h"
#include "kvsieve/kernels/ragged_decode.h"

namespace kvsieve::kernels {

void ragged_decode(const RaggedDecodeArgs& args, const SimdOps& ops);

}  // namespace kvsieve::kernels
