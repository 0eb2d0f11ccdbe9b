#define KVSIEVE_SIMD_BYTES 32
#define KVSIEVE_SIMD_TILE_ROWS 6
#define KVSIEVE_SIMD_TILE_PANELS 1
#include "exec/cpu/simd_loops.inc"

namespace kvsieve::kernels {

const SimdOps simd_avx2 = KVSIEVE_SIMD_TABLE("avx2");

}  // namespace kvsieve::kernels
