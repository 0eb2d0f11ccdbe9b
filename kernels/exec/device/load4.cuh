#pragma once
// Four neighbouring elements as floats: what a register tile takes from shared memory at once.

#include "exec/device/numeric.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// One load of 4 sizeof(T) bytes; `address` is aligned to them.
template <class T>
__device__ inline void load4(const T* address, float (&values)[4]) {
  if constexpr (std::is_same_v<T, float>) {
    const float4 vector = *reinterpret_cast<const float4*>(address);
    values[0] = vector.x;
    values[1] = vector.y;
    values[2] = vector.z;
    values[3] = vector.w;
  } else {
    struct alignas(8) Four {
      T values[4];
    } four;
    *reinterpret_cast<uint2*>(&four) = *reinterpret_cast<const uint2*>(address);
    for (int i = 0; i < 4; ++i) {
      values[i] = to_float(four.values[i]);
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
