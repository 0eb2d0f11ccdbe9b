#define KVSIEVE_SIMD_BYTES 16
#define KVSIEVE_SIMD_TILE_ROWS 3
#define KVSIEVE_SIMD_TILE_PANELS 1
#include "exec/cpu/simd_loops.inc"

namespace kvsieve::kernels {

const SimdOps simd_baseline = KVSIEVE_SIMD_TABLE("baseline");

}  // namespace kvsieve::kernels
