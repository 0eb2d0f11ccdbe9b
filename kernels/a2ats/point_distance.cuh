#pragma once
// Squared distances bit for bit as squared_distance.h gives them: 16 partial sums, products rounded
// before they are added, partial sums combined in ascending order.

#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Lanes that share a point, and partial sums of a distance. d is a multiple of it.
inline constexpr int kPointLanes = 16;

__device__ inline float add_square(float sum, float a, float b) {
  const float difference = __fsub_rn(a, b);
  return __fadd_rn(sum, __fmul_rn(difference, difference));
}
__device__ inline double add_square(double sum, float a, float b) {
  const double difference = static_cast<double>(a) - static_cast<double>(b);
  return __dadd_rn(sum, __dmul_rn(difference, difference));
}

/// Of the half-warp's points a and b [d]; every lane of it gets the sum. All lanes of the warp take
/// part.
template <class Sum>
__device__ inline Sum point_distance(const float* a, const float* b, int d) {
  Sum part = 0;
#pragma unroll 4
  for (int t = static_cast<int>(threadIdx.x) % kPointLanes; t < d; t += kPointLanes) {
    part = add_square(part, a[t], b[t]);
  }
  Sum sum = 0;
#pragma unroll
  for (int lane = 0; lane < kPointLanes; ++lane) {
    sum += __shfl_sync(kFullMask, part, lane, kPointLanes);
  }
  return sum;
}

/// The same by one thread.
__device__ inline double thread_distance(const float* a, const float* b, int d) {
  double parts[kPointLanes] = {};
#pragma unroll 1
  for (int t = 0; t < d; t += kPointLanes) {
#pragma unroll
    for (int lane = 0; lane < kPointLanes; ++lane) {
      parts[lane] = add_square(parts[lane], a[t + lane], b[t + lane]);
    }
  }
  double sum = 0.0;
#pragma unroll
  for (int lane = 0; lane < kPointLanes; ++lane) {
    sum += parts[lane];
  }
  return sum;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
