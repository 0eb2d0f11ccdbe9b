#define KVSIEVE_SIMD_BYTES 64
#define KVSIEVE_SIMD_TILE_ROWS 8
#define KVSIEVE_SIMD_TILE_PANELS 2
#include "exec/cpu/simd_loops.inc"

namespace kvsieve::kernels {

const SimdOps simd_avx512 = KVSIEVE_SIMD_TABLE("avx512");

}  // namespace kvsieve::kernels
