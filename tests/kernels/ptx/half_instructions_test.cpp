// fp16 and bf16 against a double-precision reference that rounds by search in the table of all
// values.

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/ptx/apply.h"

namespace kvsieve::ptx {
namespace {

/// A format by its definition: sign, exponent, mantissa.
struct Format {
  int exponent_bits;
  int mantissa_bits;
  std::string_view name;

  [[nodiscard]] double value(std::uint16_t bits) const {
    const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const double sign = bits >> 15 != 0 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) {
      return mantissa != 0 ? NAN : sign * INFINITY;
    }
    return exponent == 0 ? sign * std::ldexp(mantissa, 1 - bias - mantissa_bits)
                         : sign * std::ldexp((1 << mantissa_bits) + mantissa,
                                             exponent - bias - mantissa_bits);
  }
  /// The nearest value, ties to even; exact + tail is what is rounded.
  [[nodiscard]] std::uint16_t round(double exact, double tail = 0) const {
    if (std::isnan(exact)) {
      return 0x7fff;
    }
    const std::uint16_t sign = std::signbit(exact) ? 0x8000 : 0;
    const double magnitude = std::fabs(exact);
    const double magnitude_tail = sign != 0 ? -tail : tail;
    std::uint16_t low = 0;
    auto high = static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << mantissa_bits);
    const std::uint16_t infinity = high;
    if (std::isinf(exact)) {
      return sign | infinity;
    }
    while (high - low > 1) {
      const auto middle = static_cast<std::uint16_t>((low + high) / 2);
      (value(middle) <= magnitude ? low : high) = middle;
    }
    // Beyond the largest number lies what would be the next one.
    const double above = high == infinity ? 2 * value(low) - value(low - 1) : value(high);
    const double half = (value(low) + above) / 2;
    const bool up =
        magnitude > half ||
        (magnitude == half && (magnitude_tail > 0 || (magnitude_tail == 0 && low % 2 == 1)));
    return sign | (up ? high : low);
  }
};

constexpr Format kHalf{5, 10, "f16"};
constexpr Format kBf16{8, 7, "bf16"};

std::vector<std::uint16_t> boundary_halves(const Format& format) {
  const auto infinity =
      static_cast<std::uint16_t>(((1 << format.exponent_bits) - 1) << format.mantissa_bits);
  const auto one =
      static_cast<std::uint16_t>(((1 << (format.exponent_bits - 1)) - 1) << format.mantissa_bits);
  std::vector<std::uint16_t> result;
  const int smallest_normal = 1 << format.mantissa_bits;
  for (const int magnitude :
       {0, 1, 2, smallest_normal - 1, smallest_normal, one - 1, int{one}, one + 1, one + 77,
        one + 3 * smallest_normal + 5, infinity - 1, int{infinity}, infinity + 1}) {
    result.push_back(static_cast<std::uint16_t>(magnitude));
    result.push_back(static_cast<std::uint16_t>(magnitude | 0x8000));
  }
  return result;
}

bool same_half(const Format& format, std::uint16_t a, std::uint16_t b) {
  return a == b || (std::isnan(format.value(a)) && std::isnan(format.value(b)));
}

class PtxHalfTest : public testing::TestWithParam<Format> {
 protected:
  /// Checks text %d, %a, %b in fp16 or bf16; `reference` gives the exact result and what a double
  /// drops of it.
  template <class Reference>
  void check(std::string_view text, const Reference& reference) {
    const Format format = GetParam();
    std::vector<std::uint16_t> a = boundary_halves(format);
    std::vector<std::uint16_t> b = a;
    combine(a, b);
    const auto results = apply<std::uint16_t>(fmt::format(fmt::runtime(text), format.name), a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const auto [exact, tail] = reference(format.value(a[i]), format.value(b[i]));
      ASSERT_TRUE(same_half(format, results[i], format.round(exact, tail)))
          << format.name << ' ' << text << ' ' << format.value(a[i]) << ' ' << format.value(b[i])
          << ": " << format.value(results[i]);
    }
  }
};

using Result = std::pair<double, double>;

Result exact_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  const double tail = (a - (sum - b_part)) + (b - b_part);
  return {sum, std::isfinite(sum) ? tail : 0.0};
}

TEST_P(PtxHalfTest, Arithmetic) {
  check("add.{} %d, %a, %b;", exact_sum);
  check("sub.rn.{} %d, %a, %b;", [](double a, double b) { return exact_sum(a, -b); });
  check("mul.{} %d, %a, %b;", [](double a, double b) { return Result{a * b, 0.0}; });
}

TEST_P(PtxHalfTest, FusedMultiplyAdd) {
  const Format format = GetParam();
  std::vector<std::uint16_t> a = boundary_halves(format);
  std::vector<std::uint16_t> b = a;
  std::vector<std::uint16_t> c = a;
  combine(a, b, c);
  const auto results =
      apply<std::uint16_t>(fmt::format("fma.rn.{} %d, %a, %b, %c;", format.name), a, b, c);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto [exact, tail] =
        exact_sum(format.value(a[i]) * format.value(b[i]), format.value(c[i]));
    ASSERT_TRUE(same_half(format, results[i], format.round(exact, tail)))
        << format.value(a[i]) << ' ' << format.value(b[i]) << ' ' << format.value(c[i]) << ": "
        << format.value(results[i]);
  }
}

TEST_P(PtxHalfTest, ExtremaAndSigns) {
  const auto minimum = [](double a, double b) {
    if (std::isnan(a) || std::isnan(b)) {
      return Result{std::isnan(a) ? b : a, 0.0};
    }
    return Result{a < b || (a == b && std::signbit(a)) ? a : b, 0.0};
  };
  check("min.{} %d, %a, %b;", minimum);
  check("max.{} %d, %a, %b;", [&](double a, double b) {
    return Result{-minimum(-a, -b).first, 0.0};
  });
  check("neg.{} %d, %a;", [](double a, double) { return Result{-a, 0.0}; });
  check("abs.{} %d, %a;", [](double a, double) { return Result{std::fabs(a), 0.0}; });
}

TEST_P(PtxHalfTest, PairsAreTwoOfThem) {
  const Format format = GetParam();
  std::vector<std::uint16_t> values = boundary_halves(format);
  std::vector<std::uint32_t> a;
  for (std::size_t i = 0; i < values.size(); ++i) {
    a.push_back(std::uint32_t{values[i]} << 16 | values[(i + 5) % values.size()]);
  }
  std::vector<std::uint32_t> b = a;
  combine(a, b);
  const auto results = apply<std::uint32_t>(
      fmt::format("fma.rn.{0}x2 %d, %a, %b, %a; add.{0}x2 %d, %d, %b;", format.name), a, b);
  const auto greater = apply<std::uint32_t>(
      fmt::format("setp.gt.{}x2 %p|%q, %a, %b; selp.u32 %t, 1, 0, %p; selp.u32 %u, 2, 0, %q;"
                  "or.b32 %d, %t, %u;",
                  format.name),
      a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::uint32_t expected_greater = 0;
    for (const unsigned shift : {0U, 16U}) {
      const double x = format.value(static_cast<std::uint16_t>(a[i] >> shift));
      const double y = format.value(static_cast<std::uint16_t>(b[i] >> shift));
      const auto [exact, tail] = exact_sum(x * y, x);
      const auto [sum, sum_tail] = exact_sum(format.value(format.round(exact, tail)), y);
      ASSERT_TRUE(same_half(format, static_cast<std::uint16_t>(results[i] >> shift),
                            format.round(sum, sum_tail)));
      expected_greater |= x > y ? (shift == 0 ? 1U : 2U) : 0U;
    }
    ASSERT_EQ(greater[i], expected_greater);
  }
}

TEST_P(PtxHalfTest, ToAndFromFloat) {
  const Format format = GetParam();
  std::vector<std::uint16_t> all(0x10000);
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = static_cast<std::uint16_t>(i);
  }
  const auto floats = apply<float>(fmt::format("cvt.f32.{} %d, %a;", format.name), all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(same<double>(floats[i], format.value(all[i]))) << i;
  }
  // Each value, the middles between neighbours, and what is next to these.
  std::vector<float> near = boundary_floats<float>();
  for (std::uint16_t bits = 0; format.value(static_cast<std::uint16_t>(bits + 1)) < INFINITY;
       bits += 3) {
    const auto middle = static_cast<float>(
        (format.value(bits) + format.value(static_cast<std::uint16_t>(bits + 1))) / 2);
    for (const float value : {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e38F),
                              static_cast<float>(format.value(bits))}) {
      near.push_back(value);
      near.push_back(-value);
    }
  }
  const auto rounded =
      apply<std::uint16_t>(fmt::format("cvt.rn.{}.f32 %d, %a;", format.name), near);
  const auto cut = apply<std::uint16_t>(fmt::format("cvt.rz.{}.f32 %d, %a;", format.name), near);
  const auto pairs =
      apply<std::uint32_t>(fmt::format("cvt.rn.{}x2.f32 %d, %a, 0f40000000;", format.name), near);
  for (std::size_t i = 0; i < near.size(); ++i) {
    ASSERT_TRUE(same_half(format, rounded[i], format.round(near[i]))) << near[i];
    ASSERT_TRUE(same_half(format, static_cast<std::uint16_t>(pairs[i] >> 16), rounded[i]));
    ASSERT_EQ(pairs[i] & 0xffff, format.round(2.0));
    if (std::isfinite(near[i])) {
      const double value = format.value(cut[i]);
      ASSERT_LE(std::fabs(value), std::fabs(double{near[i]}));
      ASSERT_TRUE(std::fabs(format.value(static_cast<std::uint16_t>(cut[i] + 1))) >
                  std::fabs(double{near[i]}))
          << near[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, PtxHalfTest, testing::Values(kHalf, kBf16),
                         [](const auto& format) { return std::string(format.param.name); });

}  // namespace
}  // namespace kvsieve::ptx
