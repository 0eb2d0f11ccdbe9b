// Conversions, bit and math functions.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "exec/device/device.cuh"
#include "exec/device/numeric.cuh"
#include "kernels/simt/run_kernel.h"

namespace kvsieve::kernels::simt_ {
namespace {

constexpr LaunchConfig kOneThread{{1}, {1}};

/// The half nearest to x, ties to even, by trying all of them.
std::uint16_t nearest_half(float x) {
  const auto value = [](unsigned bits) {
    const unsigned exponent = bits >> 10U & 31U;
    const auto mantissa = static_cast<double>(bits & 1023U);
    return exponent == 0 ? std::ldexp(mantissa, -24)
                         : std::ldexp(1024.0 + mantissa, static_cast<int>(exponent) - 25);
  };
  const double magnitude = std::fabs(static_cast<double>(x));
  unsigned best = 0;
  for (unsigned bits = 1; bits <= 0x7c00U; ++bits) {
    // 0x7c00 stands for infinity, which rounding sees as 65536.
    const double distance = std::fabs(value(bits) - magnitude);
    const double least = std::fabs(value(best) - magnitude);
    if (distance < least || (distance == least && bits % 2 == 0)) {
      best = bits;
    }
  }
  return static_cast<std::uint16_t>(best | (std::signbit(x) ? 0x8000U : 0U));
}

TEST(SimtNumbers, HalvesRoundToTheNearestEven) {
  for (const float x :
       {0.0F,        -0.0F,           1.0F,         1.0F + 0x1p-11F, 1.0F + 0x3p-11F,
        1.00048828F, 65504.0F,        65519.99F,    65520.0F,        1e9F,
        0x1p-14F,    0x1.ffcp-15F,    0x1.ffep-15F, 0x1p-24F,        0x1p-25F,
        0x1.8p-25F,  0x1.000002p-25F, 3.14159265F,  -2.71828F,       1e-6F,
        -5.9e-8F,    1e-30F}) {
    EXPECT_EQ(__half_as_ushort(__float2half_rn(x)), nearest_half(x)) << x;
  }
  EXPECT_EQ(__half_as_ushort(__float2half_rn(INFINITY)), 0x7c00);
  EXPECT_TRUE(std::isnan(__half2float(__float2half_rn(NAN))));
}

TEST(SimtNumbers, HalvesSurviveAsFloats) {
  for (unsigned bits = 0; bits < 0x10000U; ++bits) {
    const __half half = __ushort_as_half(static_cast<unsigned short>(bits));
    const float value = __half2float(half);
    if (std::isnan(value)) {
      EXPECT_GT(bits & 0x7fffU, 0x7c00U);
    } else {
      EXPECT_EQ(__half_as_ushort(__float2half_rn(value)), bits);
    }
  }
}

TEST(SimtNumbers, BfloatsRoundToTheNearestEven) {
  const auto rounded = [](std::uint32_t bits) {
    return unsigned{__bfloat16_as_ushort(__float2bfloat16_rn(std::bit_cast<float>(bits)))};
  };
  EXPECT_EQ(rounded(0x3f800000U), 0x3f80U);
  EXPECT_EQ(rounded(0x3f808000U), 0x3f80U);  // a tie, to even
  EXPECT_EQ(rounded(0x3f818000U), 0x3f82U);  // a tie, to even
  EXPECT_EQ(rounded(0x3f808001U), 0x3f81U);
  EXPECT_EQ(rounded(0x7f7fffffU), 0x7f80U);
  EXPECT_EQ(rounded(0x80000001U), 0x8000U);
  EXPECT_TRUE(std::isnan(__bfloat162float(__float2bfloat16_rn(NAN))));
  EXPECT_EQ(__bfloat162float(__ushort_as_bfloat16(0xc040)), -3.0F);
}

template <class T>
__global__ void vectors(const T* in, float* out) {
  const Vector16<T> vector = load16(in + threadIdx.x * Vector16<T>::kSize);
  for (int i = 0; i < Vector16<T>::kSize; ++i) {
    out[static_cast<int>(threadIdx.x) * Vector16<T>::kSize + i] = 2 * to_float(vector.values[i]);
  }
}

template <class T>
void check_vectors() {
  std::vector<T> in;
  std::vector<float> expected;
  for (int i = 0; i < 2 * Vector16<T>::kSize; ++i) {
    in.push_back(from_float<T>(static_cast<float>(i)));
    expected.push_back(static_cast<float>(2 * i));
  }
  EXPECT_EQ((run_kernel<vectors<T>, float>({{1}, {2}}, in, in.size())), expected);
}

TEST(SimtNumbers, SixteenBytesOfEveryType) {
  check_vectors<float>();
  check_vectors<__half>();
  check_vectors<__nv_bfloat16>();
}

__global__ void packed_halves(const float* in, float* out) {
  const __half2 pair = __floats2half2_rn(in[0], in[1]);
  const float2 sums = __half22float2(__halves2half2(__high2half(pair), __low2half(pair)));
  out[0] = sums.x;
  out[1] = sums.y;
  out[2] = __half2float(__hadd(__low2half(pair), __high2half(pair)));
  const __nv_bfloat162 brain = __floats2bfloat162_rn(in[0], in[1]);
  out[3] = __bfloat1622float2(brain).y;
  out[4] = __low2float(brain) + __high2float(pair);
}

TEST(SimtNumbers, PackedPairs) {
  EXPECT_EQ((run_kernel<packed_halves, float>(kOneThread, std::vector<float>{1.5F, -4.0F}, 5)),
            (std::vector<float>{-4.0F, 1.5F, -2.5F, -4.0F, -2.5F}));
}

TEST(SimtNumbers, BitFunctions) {
  EXPECT_EQ(__popc(0xf0f00001U), 9);
  EXPECT_EQ(__popcll(~0ULL), 64);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clzll(1), 63);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__ffsll(1LL << 40), 41);
  EXPECT_EQ(__brev(0x80000003U), 0xc0000001U);
  EXPECT_EQ(__umulhi(0xffffffffU, 0xffffffffU), 0xfffffffeU);
  EXPECT_EQ(__mulhi(-1, 5), -1);
  EXPECT_EQ(__funnelshift_l(0x80000000U, 1U, 1), 3U);
  EXPECT_EQ(__funnelshift_r(0U, 1U, 1), 0x80000000U);
  EXPECT_EQ(__byte_perm(0x33221100U, 0x77665544U, 0x7240U), 0x77224400U);
}

TEST(SimtNumbers, Conversions) {
  EXPECT_EQ(__float2int_rn(2.5F), 2);
  EXPECT_EQ(__float2int_rn(-3.5F), -4);
  EXPECT_EQ(__float2int_rz(-3.9F), -3);
  EXPECT_EQ(__float2int_rd(-3.1F), -4);
  EXPECT_EQ(__float2int_ru(3.1F), 4);
  EXPECT_EQ(__float2int_rn(1e20F), std::numeric_limits<int>::max());
  EXPECT_EQ(__float2int_rn(NAN), 0);
  EXPECT_EQ(__float2uint_rn(-1.0F), 0U);
  EXPECT_EQ(__float_as_uint(-0.0F), 0x80000000U);
  EXPECT_EQ(__uint_as_float(0x40490fdbU), 3.14159274F);
}

TEST(SimtNumbers, MathFunctions) {
  constexpr float kTolerance = 1e-6F;  // relative; a few units in the last place
  EXPECT_NEAR(__expf(1.0F), 2.71828183F, 3 * kTolerance);
  EXPECT_NEAR(exp2f(0.5F), 1.41421356F, 2 * kTolerance);
  EXPECT_NEAR(__logf(10.0F), 2.30258509F, 3 * kTolerance);
  EXPECT_NEAR(__log2f(8.0F), 3.0F, 3 * kTolerance);
  EXPECT_NEAR(rsqrtf(4.0F), 0.5F, kTolerance);
  EXPECT_EQ(__frcp_rn(4.0F), 0.25F);
  EXPECT_EQ(__fdividef(1.0F, 8.0F), 0.125F);
  EXPECT_EQ(__fmaf_rn(2.0F, 3.0F, 4.0F), 10.0F);
  EXPECT_EQ(__saturatef(NAN), 0.0F);
  EXPECT_EQ(__saturatef(7.0F), 1.0F);
  EXPECT_EQ(min(3, -2), -2);
  EXPECT_EQ(max(NAN, 1.0F), 1.0F);
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
