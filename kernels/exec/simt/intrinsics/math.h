#pragma once
// CUDA's integer, bit and single-precision functions that C++ lacks. Approximate functions are
// computed exactly rounded or nearly so: a GPU's last bits differ.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kvsieve::simt::cuda {

template <class T>
T __ldg(const T* address) {
  return *address;
}

inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
/// Position of the lowest bit that is set, counted from 1; 0 if there is none.
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline int __ffsll(long long x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1;
}
inline unsigned __brev(unsigned x) {
  unsigned result = 0;
  for (int i = 0; i < 32; ++i) {
    result = result << 1U | (x >> i & 1U);
  }
  return result;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32U);
}
inline int __mulhi(int a, int b) {
  return static_cast<int>(std::int64_t{a} * b >> 32U);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64U);
}
/// The high word of high:low shifted left.
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  const std::uint64_t both = std::uint64_t{high} << 32U | low;
  return static_cast<unsigned>(both << (shift & 31U) >> 32U);
}
/// The low word of high:low shifted right.
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  const std::uint64_t both = std::uint64_t{high} << 32U | low;
  return static_cast<unsigned>(both >> (shift & 31U));
}
/// Four bytes picked from the eight of a (0 to 3) and b (4 to 7), one nibble of `selector` each.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const std::uint64_t both = std::uint64_t{b} << 32U | a;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned pick = selector >> (4 * i) & 0xfU;
    unsigned byte = static_cast<unsigned>(both >> (8 * (pick & 7U))) & 0xffU;
    if ((pick & 8U) != 0) {
      byte = (byte & 0x80U) != 0 ? 0xffU : 0U;
    }
    result |= byte << (8 * i);
  }
  return result;
}

inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) {
  return std::bit_cast<double>(x);
}

inline float rsqrtf(float x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}
inline float __frsqrt_rn(float x) {
  return rsqrtf(x);
}
inline float __fsqrt_rn(float x) {
  return std::sqrt(x);
}
inline float __frcp_rn(float x) {
  return 1.0F / x;
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
/// Into [0, 1]; NaN gives 0.
inline float __saturatef(float x) {
  return x > 0.0F ? (x < 1.0F ? x : 1.0F) : 0.0F;
}

namespace detail {

/// CUDA's conversions clamp and turn NaN into 0, where C++ has undefined behaviour.
template <class Integer>
Integer clamp_to(double x) {
  if (std::isnan(x)) {
    return 0;
  }
  constexpr double kLow = static_cast<double>(std::numeric_limits<Integer>::min());
  constexpr double kHigh = static_cast<double>(std::numeric_limits<Integer>::max());
  if (x <= kLow) {
    return std::numeric_limits<Integer>::min();
  }
  return x >= kHigh ? std::numeric_limits<Integer>::max() : static_cast<Integer>(x);
}

inline float fast_exp(float x) {
  return std::exp(x);
}
inline float fast_exp2(float x) {
  return std::exp2(x);
}
inline float fast_exp10(float x) {
  return static_cast<float>(std::pow(10.0, static_cast<double>(x)));
}
inline float fast_log(float x) {
  return std::log(x);
}
inline float fast_log2(float x) {
  return std::log2(x);
}
inline float fast_log10(float x) {
  return std::log10(x);
}
inline float fast_sin(float x) {
  return std::sin(x);
}
inline float fast_cos(float x) {
  return std::cos(x);
}
inline float fast_pow(float x, float y) {
  return std::pow(x, y);
}

}  // namespace detail

inline int __float2int_rn(float x) {
  return detail::clamp_to<int>(std::nearbyint(static_cast<double>(x)));
}
inline int __float2int_rz(float x) {
  return detail::clamp_to<int>(std::trunc(static_cast<double>(x)));
}
inline int __float2int_rd(float x) {
  return detail::clamp_to<int>(std::floor(static_cast<double>(x)));
}
inline int __float2int_ru(float x) {
  return detail::clamp_to<int>(std::ceil(static_cast<double>(x)));
}
inline unsigned __float2uint_rn(float x) {
  return detail::clamp_to<unsigned>(std::nearbyint(static_cast<double>(x)));
}
inline unsigned __float2uint_rz(float x) {
  return detail::clamp_to<unsigned>(std::trunc(static_cast<double>(x)));
}
inline float __int2float_rn(int x) {
  return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) {
  return static_cast<float>(x);
}
inline float __ll2float_rn(long long x) {
  return static_cast<float>(x);
}
inline float __double2float_rn(double x) {
  return static_cast<float>(x);
}

#define KVSIEVE_SIMT_MIN_MAX(T) \
  inline T min(T a, T b) {      \
    return b < a ? b : a;       \
  }                             \
  inline T max(T a, T b) {      \
    return a < b ? b : a;       \
  }
KVSIEVE_SIMT_MIN_MAX(int)
KVSIEVE_SIMT_MIN_MAX(unsigned)
KVSIEVE_SIMT_MIN_MAX(long)
KVSIEVE_SIMT_MIN_MAX(unsigned long)
KVSIEVE_SIMT_MIN_MAX(long long)
KVSIEVE_SIMT_MIN_MAX(unsigned long long)
#undef KVSIEVE_SIMT_MIN_MAX
// Like CUDA's, they give the other operand if one is NaN.
inline float min(float a, float b) {
  return std::fmin(a, b);
}
inline float max(float a, float b) {
  return std::fmax(a, b);
}
inline double min(double a, double b) {
  return std::fmin(a, b);
}
inline double max(double a, double b) {
  return std::fmax(a, b);
}

}  // namespace kvsieve::simt::cuda

// glibc declares these names itself, as functions that it does not have.
#define __expf(x) ::kvsieve::simt::cuda::detail::fast_exp(x)
#define __exp2f(x) ::kvsieve::simt::cuda::detail::fast_exp2(x)
#define __exp10f(x) ::kvsieve::simt::cuda::detail::fast_exp10(x)
#define __logf(x) ::kvsieve::simt::cuda::detail::fast_log(x)
#define __log2f(x) ::kvsieve::simt::cuda::detail::fast_log2(x)
#define __log10f(x) ::kvsieve::simt::cuda::detail::fast_log10(x)
#define __sinf(x) ::kvsieve::simt::cuda::detail::fast_sin(x)
#define __cosf(x) ::kvsieve::simt::cuda::detail::fast_cos(x)
#define __powf(x, y) ::kvsieve::simt::cuda::detail::fast_pow(x, y)
