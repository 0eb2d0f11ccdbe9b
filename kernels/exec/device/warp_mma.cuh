#pragma once
// The tensor core: the one place with inline PTX, and its meaning for the host SIMT executor.

#include <cstring>

#include "exec/device/device.cuh"
#include "exec/device/numeric.cuh"
#include "exec/device/warp.cuh"
#ifndef __CUDACC__
#include "exec/simt/warp_exchange.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

// Shape of one warp_mma.
inline constexpr int kMmaM = 16;
inline constexpr int kMmaN = 8;
inline constexpr int kMmaK = 16;

#ifndef __CUDACC__

namespace detail {

/// What a lane brings to a warp_mma, as pointers into its own registers.
struct MmaFragments {
  const unsigned* a;
  const unsigned* b;
  float* sums;
};

/// Element `index` (0 or 1) of a register that packs two.
template <class T>
inline float mma_element(unsigned word, int index) {
  T elements[2];
  std::memcpy(static_cast<void*>(elements), &word, sizeof(word));
  return to_float(elements[index]);
}

/// The product of a whole warp, from and to the fragments of its lanes.
template <class T>
inline void combine_mma(const MmaFragments* const* lanes) {
  float a[kMmaM][kMmaK];
  float b[kMmaN][kMmaK];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const int row = lane / 4;
    const int pair = lane % 4 * 2;
    for (int i = 0; i < 2; ++i) {
      a[row][pair + i] = mma_element<T>(lanes[lane]->a[0], i);
      a[row + 8][pair + i] = mma_element<T>(lanes[lane]->a[1], i);
      a[row][pair + 8 + i] = mma_element<T>(lanes[lane]->a[2], i);
      a[row + 8][pair + 8 + i] = mma_element<T>(lanes[lane]->a[3], i);
      b[row][pair + i] = mma_element<T>(lanes[lane]->b[0], i);
      b[row][pair + 8 + i] = mma_element<T>(lanes[lane]->b[1], i);
    }
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const int column = lane % 4 * 2 + i % 2;
      float sum = lanes[lane]->sums[i];
      for (int k = 0; k < kMmaK; ++k) {
        sum += a[row][k] * b[column][k];
      }
      lanes[lane]->sums[i] = sum;
    }
  }
}

}  // namespace detail

#endif

/// sums += A B for A [16, 16] and B [16, 8] of T = __half or __nv_bfloat16, with fp32 accumulation;
/// all lanes of the warp take part. Fragments as PTX documents them for mma.m16n8k16, two elements
/// a register, the one of the lower index in the lower half; with r = lane / 4, c = lane % 4 * 2:
/// @param sums (r, c), (r, c+1), (r+8, c), (r+8, c+1) of [16, 8]
/// @param a (r, c..c+1), (r+8, c..c+1), (r, c+8..c+9), (r+8, c+8..c+9) of A
/// @param b (c..c+1, r), (c+8..c+9, r) of B
template <class T>
__device__ inline void warp_mma(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  static_assert(std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>);
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, __half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  detail::MmaFragments fragments{a, b, sums};
  simt::warp_exchange(
      "warp_mma", kFullMask, &fragments,
      [](const auto& lanes, unsigned) { detail::combine_mma<T>(lanes.data()); },
      std::source_location::current());
#endif
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
