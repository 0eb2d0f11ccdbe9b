#pragma once
// Element types of the cache and their conversion; vectors of 16 bytes.

#include "exec/device/device.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(__half x) {
  return __half2float(x);
}
__device__ inline float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

/// Rounds to nearest even.
template <class T>
__device__ inline T from_float(float x) {
  if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(x);
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(x);
  } else {
    return x;
  }
}

/// The bounded score cap tanh(score / cap), cap > 0.
__device__ inline float apply_softcap(float score, float cap) {
  return cap * tanhf(score / cap);
}

/// 16 bytes of elements: what one lane loads or stores at once.
template <class T>
struct alignas(16) Vector16 {
  static constexpr int kSize = 16 / sizeof(T);
  T values[kSize];
};

/// One 128-bit load or store; `address` is aligned to 16 bytes.
template <class T>
__device__ inline Vector16<T> load16(const T* address) {
  Vector16<T> result;
  *reinterpret_cast<uint4*>(&result) = *reinterpret_cast<const uint4*>(address);
  return result;
}
template <class T>
__device__ inline void store16(T* address, const Vector16<T>& vector) {
  *reinterpret_cast<uint4*>(address) = *reinterpret_cast<const uint4*>(&vector);
}

/// An unsigned image of finite scores that orders as they do; -0 and +0 share one. The same as the
/// CPU backend's (exec/cpu/radix_select.h), below 0xff800000.
__device__ inline unsigned rank_key(float x) {
  const unsigned bits = __float_as_uint(x + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
