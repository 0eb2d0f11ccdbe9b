#pragma once
// The CUDA language for kernels compiled by the host compiler, in place of the toolkit's header of
// this name: qualifiers, built-in variables and functions. Vector types come from vector_types.h.

#include <vector_functions.h>
#include <vector_types.h>

#include <cmath>

#include "exec/simt/block.h"
#include "exec/simt/executor.h"
#include "exec/simt/intrinsics/atomics.h"
#include "exec/simt/intrinsics/block.h"
#include "exec/simt/intrinsics/math.h"
#include "exec/simt/intrinsics/warp.h"

// The toolkit's vector_types.h brings its own.
#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#undef __align__
#undef __grid_constant__

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __grid_constant__
// A block runs in one OS thread. AddressSanitizer puts red zones only around statics, and there is
// one worker then.
#ifdef KVSIEVE_SIMT_ASAN
#define __shared__ static
#else
#define __shared__ thread_local
#endif

#define threadIdx (::kvsieve::simt::this_thread().index)
#define blockIdx (::kvsieve::simt::this_block().index())
#define blockDim (::kvsieve::simt::this_block().launch().config.block)
#define gridDim (::kvsieve::simt::this_block().launch().config.grid)
#define warpSize (static_cast<int>(::kvsieve::simt::kLanes))

using namespace kvsieve::simt::cuda;  // NOLINT: CUDA's names are global
