#pragma once
// Attention over a selected set with a given instruction set, for tests.

#include "exec/cpu/simd.h"
#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::kernels {

void sparse_decode(const SparseDecodeArgs& args, const SimdOps& ops);

}  // namespace kvsieve::kernels
