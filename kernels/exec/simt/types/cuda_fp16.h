#pragma once
// Half precision, for machines without the toolkit: storage, conversions that round to nearest
// even, and arithmetic by way of float, rounded after every operation as the hardware does.

#include <vector_types.h>

#include <bit>
#include <cstdint>

namespace kvsieve::simt::cuda {

struct __half_raw {
  unsigned short x;
};

namespace detail {

inline std::uint16_t half_bits(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16U & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {
    return 0x7fff;  // the NaN that GPUs give
  }
  if (magnitude >= 0x477ff000U) {  // rounds to 65536 or more
    return static_cast<std::uint16_t>(sign | 0x7c00U);
  }
  if (magnitude < 0x38800000U) {
    // A subnormal: adding 0.5 leaves its bits, rounded, at the end of the mantissa.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U));
  }
  const std::uint32_t rounded = magnitude + 0xfffU + (magnitude >> 13U & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded >> 13U) - (112U << 10U)));
}

inline float half_value(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t exponent = bits >> 10U & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1f) {
    return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13U);
  }
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112U) << 23U | mantissa << 13U);
}

}  // namespace detail

struct __half {
  std::uint16_t bits;

  __half() = default;
  __half(__half_raw raw) : bits(raw.x) {}
  __half(float value) : bits(detail::half_bits(value)) {}
  explicit __half(double value) : __half(static_cast<float>(value)) {}
  operator float() const { return detail::half_value(bits); }
  operator __half_raw() const { return {bits}; }
};
struct alignas(4) __half2 {
  __half x;
  __half y;

  __half2() = default;
  __half2(__half low, __half high) : x(low), y(high) {}
};
using half = __half;
using half2 = __half2;

inline float __half2float(__half a) {
  return detail::half_value(a.bits);
}
inline __half __float2half_rn(float a) {
  return __half_raw{detail::half_bits(a)};
}
inline __half __float2half(float a) {
  return __float2half_rn(a);
}
inline unsigned short __half_as_ushort(__half a) {
  return a.bits;
}
inline __half __ushort_as_half(unsigned short a) {
  return __half_raw{a};
}
inline float2 __half22float2(__half2 a) {
  return {__half2float(a.x), __half2float(a.y)};
}
inline __half2 __floats2half2_rn(float low, float high) {
  return {__float2half_rn(low), __float2half_rn(high)};
}
inline __half2 __float22half2_rn(float2 a) {
  return __floats2half2_rn(a.x, a.y);
}
inline __half2 __float2half2_rn(float a) {
  return __floats2half2_rn(a, a);
}
inline __half2 __halves2half2(__half low, __half high) {
  return {low, high};
}
inline __half2 __half2half2(__half a) {
  return {a, a};
}
inline __half __low2half(__half2 a) {
  return a.x;
}
inline __half __high2half(__half2 a) {
  return a.y;
}
inline float __low2float(__half2 a) {
  return __half2float(a.x);
}
inline float __high2float(__half2 a) {
  return __half2float(a.y);
}
inline __half __hadd(__half a, __half b) {
  return __float2half_rn(__half2float(a) + __half2float(b));
}
inline __half __hsub(__half a, __half b) {
  return __float2half_rn(__half2float(a) - __half2float(b));
}
inline __half __hmul(__half a, __half b) {
  return __float2half_rn(__half2float(a) * __half2float(b));
}
inline bool __hgt(__half a, __half b) {
  return __half2float(a) > __half2float(b);
}
inline bool __hlt(__half a, __half b) {
  return __half2float(a) < __half2float(b);
}
inline bool __heq(__half a, __half b) {
  return __half2float(a) == __half2float(b);
}
inline bool __hisnan(__half a) {
  return (a.bits & 0x7fffU) > 0x7c00U;
}

}  // namespace kvsieve::simt::cuda
