#include "kvsieve/traces/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "fails_with.h"

namespace kvsieve::traces {
namespace {

using tests::fails_with;

/// A binary format with `mantissa_bits` stored bits and normal exponents from min to max.
struct Format {
  int mantissa_bits;
  int min_exponent;
  int max_exponent;
  float (*decode)(std::uint16_t);
  std::uint16_t (*encode)(float);
};

constexpr Format kHalf{10, -14, 15, half_to_float, float_to_half};
constexpr Format kBfloat{7, -126, 127, bfloat_to_float, float_to_bfloat};

/// The value of a bit pattern by the definition of the format, in exact double arithmetic.
double value_of(const Format& format, std::uint16_t bits) {
  const int mantissa = bits & ((1 << format.mantissa_bits) - 1);
  const int field = (bits & 0x7fff) >> format.mantissa_bits;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (field == format.max_exponent - format.min_exponent + 2) {
    return mantissa == 0 ? sign * HUGE_VAL
                         : std::copysign(std::numeric_limits<double>::quiet_NaN(), sign);
  }
  const int significand = field == 0 ? mantissa : mantissa + (1 << format.mantissa_bits);
  const int exponent = std::max(field, 1) - 1 + format.min_exponent;
  return sign * std::ldexp(significand, exponent - format.mantissa_bits);
}

/// `x` rounded to the format, ties to even, in exact double arithmetic.
double rounded(const Format& format, double x) {
  if (x == 0.0 || !std::isfinite(x)) {
    return x;
  }
  const int exponent = std::max(std::ilogb(x), format.min_exponent);
  const double quantum = std::ldexp(1.0, exponent - format.mantissa_bits);
  const double nearest = std::nearbyint(x / quantum) * quantum;
  return std::abs(nearest) >= std::ldexp(1.0, format.max_exponent + 1) ? std::copysign(HUGE_VAL, x)
                                                                       : nearest;
}

testing::AssertionResult encodes_as_rounded(const Format& format, float x) {
  const double expected = rounded(format, x);
  const double actual = value_of(format, format.encode(x));
  const bool same = std::isnan(expected) ? std::isnan(actual) : expected == actual;
  if (!same || std::signbit(expected) != std::signbit(actual)) {
    return testing::AssertionFailure()
           << x << " (" << std::hexfloat << x << ") became " << actual << ", expected " << expected;
  }
  return testing::AssertionSuccess();
}

template <class Check>
void for_every_pattern(Check&& check) {
  for (unsigned bits = 0; bits <= 0xffffU && !testing::Test::HasFailure(); ++bits) {
    check(static_cast<std::uint16_t>(bits));
  }
}

void expect_exact_decoding(const Format& format) {
  for_every_pattern([&](std::uint16_t bits) {
    const double expected = value_of(format, bits);
    const float actual = format.decode(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << bits;
    } else {
      ASSERT_EQ(expected, static_cast<double>(actual)) << bits;
    }
    ASSERT_EQ((bits & 0x8000U) != 0, std::signbit(actual)) << bits;
  });
}

void expect_round_trip(const Format& format) {
  for_every_pattern([&](std::uint16_t bits) {
    const std::uint16_t back = format.encode(format.decode(bits));
    if (std::isnan(value_of(format, bits))) {
      ASSERT_TRUE(std::isnan(value_of(format, back))) << bits;
      ASSERT_EQ(bits & 0x8000U, back & 0x8000U) << bits;
    } else {
      ASSERT_EQ(bits, back);
    }
  });
}

/// Every representable number, the midpoint to its neighbour, and the floats around both.
void expect_ties_to_even(const Format& format) {
  for_every_pattern([&](std::uint16_t bits) {
    const float value = format.decode(bits);
    if (!std::isfinite(value)) {
      return;
    }
    // Above the largest finite number the tie lies halfway to where the next one would be.
    const int exponent =
        std::max(value == 0.0F ? format.min_exponent : std::ilogb(value), format.min_exponent);
    const double half_step = std::ldexp(0.5, exponent - format.mantissa_bits);
    const auto tie = static_cast<float>(value + std::copysign(half_step, value));
    ASSERT_EQ(static_cast<double>(tie), value + std::copysign(half_step, value)) << bits;
    for (const float centre : {value, tie}) {
      ASSERT_TRUE(encodes_as_rounded(format, centre));
      ASSERT_TRUE(encodes_as_rounded(format, std::nextafter(centre, HUGE_VALF)));
      ASSERT_TRUE(encodes_as_rounded(format, std::nextafter(centre, -HUGE_VALF)));
    }
  });
}

void expect_rounded_everywhere(const Format& format) {
  constexpr std::uint64_t kStride = 1021;  // prime, so that all low bits occur
  for (std::uint64_t bits = 0; bits <= UINT32_MAX; bits += kStride) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    ASSERT_TRUE(encodes_as_rounded(format, x));
  }
}

TEST(dtype, half_decodes_exactly) {
  expect_exact_decoding(kHalf);
}
TEST(dtype, bfloat_decodes_exactly) {
  expect_exact_decoding(kBfloat);
}
TEST(dtype, every_half_round_trips) {
  expect_round_trip(kHalf);
}
TEST(dtype, every_bfloat_round_trips) {
  expect_round_trip(kBfloat);
}
TEST(dtype, half_ties_go_to_even) {
  expect_ties_to_even(kHalf);
}
TEST(dtype, bfloat_ties_go_to_even) {
  expect_ties_to_even(kBfloat);
}
TEST(dtype, floats_round_to_nearest_half) {
  expect_rounded_everywhere(kHalf);
}
TEST(dtype, floats_round_to_nearest_bfloat) {
  expect_rounded_everywhere(kBfloat);
}

TEST(dtype, half_has_its_published_limits) {
  EXPECT_EQ(0x7bff, float_to_half(65504.0F));
  EXPECT_EQ(0x7bff, float_to_half(65519.996F));
  EXPECT_EQ(0x7c00, float_to_half(65520.0F));
  EXPECT_EQ(0xfc00, float_to_half(-1e30F));
  EXPECT_EQ(0x0001, float_to_half(0x1p-24F));
  EXPECT_EQ(0x0000, float_to_half(0x1p-25F));  // a tie with zero
  EXPECT_EQ(0x0001, float_to_half(0x1.000002p-25F));
  EXPECT_EQ(0x0400, float_to_half(0x1.ffep-15F));  // the largest subnormal plus half a step
  EXPECT_EQ(0x8000, float_to_half(-0.0F));
  EXPECT_EQ(0x8000, float_to_half(-1e-45F));
  EXPECT_EQ(0x3c00, float_to_half(1.0F));
}

TEST(dtype, bfloat_has_its_published_limits) {
  EXPECT_EQ(0x7f7f, float_to_bfloat(0x1.fep127F));
  EXPECT_EQ(0x7f80, float_to_bfloat(std::numeric_limits<float>::max()));
  EXPECT_EQ(0xff80, float_to_bfloat(-HUGE_VALF));
  EXPECT_EQ(0x0001, float_to_bfloat(0x1p-133F));
  EXPECT_EQ(0x8000, float_to_bfloat(-0.0F));
  EXPECT_EQ(0x3f80, float_to_bfloat(1.0F));
}

TEST(dtype, nan_never_becomes_infinite) {
  // A payload only in the bits that are cut off would leave an infinity behind.
  for (const std::uint32_t bits : {0x7f800001U, 0xff800001U, 0x7fffffffU, 0x7fc00000U}) {
    const auto nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(half_to_float(float_to_half(nan)))) << bits;
    EXPECT_TRUE(std::isnan(bfloat_to_float(float_to_bfloat(nan)))) << bits;
    EXPECT_EQ(bits >> 31U, static_cast<std::uint32_t>(float_to_half(nan)) >> 15U) << bits;
    EXPECT_EQ(bits >> 31U, static_cast<std::uint32_t>(float_to_bfloat(nan)) >> 15U) << bits;
  }
}

TEST(dtype, names_are_those_of_safetensors) {
  for (const auto& [dtype, name, bytes] :
       {std::tuple{DType::kF16, "F16", 2U}, std::tuple{DType::kBF16, "BF16", 2U},
        std::tuple{DType::kF32, "F32", 4U}, std::tuple{DType::kI32, "I32", 4U}}) {
    EXPECT_EQ(name, name_of(dtype));
    EXPECT_EQ(dtype, dtype_from_name(name));
    EXPECT_EQ(bytes, size_of(dtype));
  }
}

TEST(dtype, unknown_names_list_the_supported_ones) {
  for (const char* name : {"F64", "f16", "", "F16 "}) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "F16, BF16, F32, I32", [&] {
      static_cast<void>(dtype_from_name(name));
    })) << name;
  }
}

TEST(dtype, arrays_convert_at_any_alignment) {
  const std::vector<float> values{0.0F, -1.5F, 65504.0F, 0x1p-24F, HUGE_VALF, 3.25F, -0.0F};
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (const std::size_t shift : {0U, 1U, 3U}) {
      std::vector<std::byte> stored(values.size() * size_of(dtype) + shift + 1, std::byte{0x5a});
      from_float(dtype, values, stored.data() + shift);
      std::vector<float> back(values.size());
      to_float(dtype, stored.data() + shift, back);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float expected =
            dtype == DType::kBF16 ? bfloat_to_float(float_to_bfloat(values[i])) : values[i];
        EXPECT_EQ(expected, back[i]) << name_of(dtype) << " shifted by " << shift;
        EXPECT_EQ(std::signbit(expected), std::signbit(back[i]));
      }
      EXPECT_EQ(std::byte{0x5a}, stored.back()) << "wrote beyond the array";
    }
  }
}

TEST(dtype, empty_arrays_convert_to_nothing) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    EXPECT_NO_THROW(from_float(dtype, {}, nullptr));
    EXPECT_NO_THROW(to_float(dtype, nullptr, {}));
  }
}

TEST(dtype, integers_hold_no_values) {
  std::array<float, 1> value{};
  std::array<std::byte, 4> bytes{};
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "I32", [&] { to_float(DType::kI32, bytes.data(), value); }));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "I32",
                         [&] { from_float(DType::kI32, value, bytes.data()); }));
}

}  // namespace
}  // namespace kvsieve::traces
