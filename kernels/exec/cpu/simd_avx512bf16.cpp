#define KVSIEVE_SIMD_BYTES 64
#define KVSIEVE_SIMD_TILE_ROWS 8
#define KVSIEVE_SIMD_TILE_PANELS 2
#define KVSIEVE_SIMD_DECODE_TILE 16
#define KVSIEVE_SIMD_DECODE_MEMBERS 8
#define KVSIEVE_SIMD_BFLOAT
#include "exec/cpu/simd_loops.inc"

namespace kvsieve::kernels {

const SimdOps simd_avx512bf16 = KVSIEVE_SIMD_TABLE("avx512bf16");

}  // namespace kvsieve::kernels
