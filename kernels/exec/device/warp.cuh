#pragma once
// Reductions and scans of a warp and of a block.

#include "exec/device/device.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kWarpSize = 32;
inline constexpr unsigned kFullMask = 0xffffffffU;

/// Reduces over the lanes whose numbers differ in the bits from Low to High (powers of two), every
/// one of which gets the result. All lanes of the warp take part; the order is a fixed butterfly.
template <int High, int Low, class T, class Combine>
__device__ inline T lanes_reduce(T value, Combine combine) {
  for (int offset = High; offset >= Low; offset /= 2) {
    value = combine(value, __shfl_xor_sync(kFullMask, value, offset));
  }
  return value;
}
template <int High, int Low = 1>
__device__ inline float lanes_sum(float value) {
  return lanes_reduce<High, Low>(value, [](float a, float b) { return a + b; });
}
template <int High, int Low = 1>
__device__ inline float lanes_max(float value) {
  return lanes_reduce<High, Low>(value, [](float a, float b) { return fmaxf(a, b); });
}

/// Sum over the lanes up to and including this one.
template <class T>
__device__ inline T warp_inclusive_sum(T value) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int offset = 1; offset < kWarpSize; offset *= 2) {
    const T below = __shfl_up_sync(kFullMask, value, static_cast<unsigned>(offset));
    value += lane >= offset ? below : T{0};
  }
  return value;
}

/// Sum over the threads of a one-dimensional block below this one; `total` gets the block's sum.
/// `shared` has room for one T a warp and may be reused after the next __syncthreads().
template <int BlockThreads, class T>
__device__ inline T block_exclusive_sum(T value, T* shared, T& total) {
  static_assert(BlockThreads % kWarpSize == 0 && BlockThreads <= 1024);
  constexpr int kWarps = BlockThreads / kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const T inclusive = warp_inclusive_sum(value);
  if (lane == kWarpSize - 1) {
    shared[warp] = inclusive;
  }
  __syncthreads();
  T before{0};
  total = T{0};
  for (int w = 0; w < kWarps; ++w) {
    before += w < warp ? shared[w] : T{0};
    total += shared[w];
  }
  return before + inclusive - value;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
