// fp32 and fp64 against exact or double-precision references, with NaN, infinities and subnormals.

#include <gtest/gtest.h>

#include <bit>
#include <cfenv>

#include "kernels/ptx/apply.h"

namespace kvsieve::ptx {
namespace {

/// high + low, exactly; `high` is the nearest double.
struct Exact {
  double high;
  double low;
};

Exact exact_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

float round_to_float(const Exact& exact) {
  // A double with an odd last bit makes the second rounding as good as the only one.
  auto bits = std::bit_cast<std::uint64_t>(exact.high);
  if (exact.low != 0 && (bits & 1U) == 0) {
    bits += (exact.low > 0) == (exact.high > 0) ? 1 : std::uint64_t(-1);
  }
  return static_cast<float>(std::bit_cast<double>(bits));
}

class PtxFloatTest : public testing::Test {
 protected:
  template <class T, class Reference>
  void check(std::string_view text, const Reference& reference) {
    std::vector<T> a = boundary_floats<T>();
    std::vector<T> b = a;
    combine(a, b);
    const std::vector<T> results = apply<T>(text, a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const T expected = reference(a[i], b[i]);
      ASSERT_TRUE(same(results[i], expected))
          << text << ' ' << a[i] << ' ' << b[i] << ": " << results[i] << " not " << expected;
    }
  }
  template <class T, class Reference>
  void check_one(std::string_view text, const Reference& reference) {
    const std::vector<T> a = boundary_floats<T>();
    const std::vector<T> results = apply<T>(text, a);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const T expected = reference(a[i]);
      ASSERT_TRUE(same(results[i], expected))
          << text << ' ' << a[i] << ": " << results[i] << " not " << expected;
    }
  }
};

TEST_F(PtxFloatTest, RoundsOnce) {
  check<float>("add.f32 %d, %a, %b;",
               [](float a, float b) { return static_cast<float>(double{a} + b); });
  check<float>("sub.rn.f32 %d, %a, %b;",
               [](float a, float b) { return static_cast<float>(double{a} - b); });
  check<float>("mul.f32 %d, %a, %b;",
               [](float a, float b) { return static_cast<float>(double{a} * b); });
  check<float>("div.rn.f32 %d, %a, %b;",
               [](float a, float b) { return static_cast<float>(double{a} / b); });
  check<double>("add.f64 %d, %a, %b;", [](double a, double b) { return a + b; });
  check<double>("mul.rn.f64 %d, %a, %b;", [](double a, double b) { return a * b; });
  check<double>("div.rn.f64 %d, %a, %b;", [](double a, double b) { return a / b; });
}

TEST_F(PtxFloatTest, FusedMultiplyAddRoundsOnce) {
  std::vector<float> a = boundary_floats<float>();
  std::vector<float> b = a;
  std::vector<float> c = a;
  combine(a, b, c);
  const auto results = apply<float>("fma.rn.f32 %d, %a, %b, %c;", a, b, c);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float expected = std::isfinite(a[i]) && std::isfinite(b[i]) && std::isfinite(c[i])
                               ? round_to_float(exact_sum(double{a[i]} * b[i], c[i]))
                               : static_cast<float>(double{a[i]} * b[i] + c[i]);
    // The sign of an exact zero follows other rules, which a test of its own checks.
    ASSERT_TRUE(same(results[i], expected) || (results[i] == 0 && expected == 0))
        << a[i] << ' ' << b[i] << ' ' << c[i] << ": " << results[i] << " not " << expected;
  }
  EXPECT_TRUE(std::signbit(
      apply<float>("fma.rn.f32 %d, %a, 0f3F800000, 0f80000000;", std::vector<float>{-0.0F})[0]));
}

TEST_F(PtxFloatTest, DirectedRoundings) {
  std::vector<float> a = boundary_floats<float>();
  std::vector<float> b = a;
  combine(a, b);
  const struct {
    std::string_view name;
    int mode;
  } roundings[] = {{"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  for (const auto& [name, mode] : roundings) {
    const auto sums = apply<float>(fmt::format("add.{}.f32 %d, %a, %b;", name), a, b);
    const auto products =
        apply<float>(fmt::format("fma.{}.f32 %d, %a, %b, 0f00000000;", name), a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      // From the exact result: the nearest float, or its neighbour on the side of the rounding.
      const auto expected = [rounding = mode](const Exact& exact) {
        const float nearest = round_to_float(exact);
        const bool down = rounding == FE_DOWNWARD || (rounding == FE_TOWARDZERO && exact.high > 0);
        const bool above = nearest > exact.high || (nearest == exact.high && exact.low < 0);
        const bool below = nearest < exact.high || (nearest == exact.high && exact.low > 0);
        if (down ? above : below) {
          return std::nextafter(nearest, down ? -INFINITY : INFINITY);
        }
        return nearest;
      };
      if (std::isfinite(a[i]) && std::isfinite(b[i])) {
        const float sum = expected(exact_sum(a[i], b[i]));
        ASSERT_TRUE(sums[i] == sum) << name << ' ' << a[i] << ' ' << b[i];
        const float product = expected({double{a[i]} * b[i], 0.0});
        ASSERT_TRUE(products[i] == product)
            << name << ' ' << a[i] << ' ' << b[i] << ": " << products[i] << " not " << product;
      }
    }
  }
}

TEST_F(PtxFloatTest, SaturatesAndFlushes) {
  check<float>("add.sat.f32 %d, %a, %b;", [](float a, float b) {
    const float sum = a + b;
    return std::isnan(sum) ? 0.0F : sum <= 0 ? 0.0F : std::min(sum, 1.0F);
  });
  const auto flushed = [](float value) {
    return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0F, value) : value;
  };
  check<float>("mul.ftz.f32 %d, %a, %b;",
               [&](float a, float b) { return flushed(flushed(a) * flushed(b)); });
}

TEST_F(PtxFloatTest, NotANumberIsCanonical) {
  const std::vector<std::uint32_t> nans = {0xffc00001, 0x7f800001, 0x7fc12345};
  for (const std::uint32_t bits : apply<std::uint32_t>("add.f32 %d, %a, 0f3F800000;", nans)) {
    EXPECT_EQ(bits, 0x7fffffffU);
  }
}

template <class T>
T minimum(T a, T b) {
  if (std::isnan(a) || std::isnan(b)) {
    return std::isnan(a) ? b : a;
  }
  return a < b || (a == b && std::signbit(a)) ? a : b;
}

TEST_F(PtxFloatTest, Extrema) {
  check<float>("min.f32 %d, %a, %b;", [](float a, float b) { return minimum(a, b); });
  check<float>("max.f32 %d, %a, %b;", [](float a, float b) { return -minimum(-a, -b); });
  check<double>("min.f64 %d, %a, %b;", [](double a, double b) { return minimum(a, b); });
  check<double>("max.f64 %d, %a, %b;", [](double a, double b) { return -minimum(-a, -b); });
  check<float>("max.NaN.f32 %d, %a, %b;", [](float a, float b) {
    return std::isnan(a) || std::isnan(b) ? NAN : -minimum(-a, -b);
  });
}

TEST_F(PtxFloatTest, SignsAndRoots) {
  check_one<float>("neg.f32 %d, %a;", [](float a) { return -a; });
  check_one<float>("abs.f32 %d, %a;", [](float a) { return std::fabs(a); });
  check<float>("copysign.f32 %d, %a, %b;", [](float a, float b) { return std::copysign(b, a); });
  check_one<float>("sqrt.rn.f32 %d, %a;",
                   [](float a) { return static_cast<float>(std::sqrt(double{a})); });
  check_one<float>("rcp.rn.f32 %d, %a;",
                   [](float a) { return static_cast<float>(1.0 / double{a}); });
  check_one<double>("sqrt.rn.f64 %d, %a;", [](double a) { return std::sqrt(a); });
}

TEST_F(PtxFloatTest, Approximations) {
  check_one<float>("ex2.approx.f32 %d, %a;",
                   [](float a) { return static_cast<float>(std::exp2(double{a})); });
  check_one<float>("lg2.approx.f32 %d, %a;",
                   [](float a) { return static_cast<float>(std::log2(double{a})); });
  check_one<float>("sin.approx.f32 %d, %a;",
                   [](float a) { return static_cast<float>(std::sin(double{a})); });
  check_one<float>("rsqrt.approx.f32 %d, %a;", [](float a) {
    return a == 0 ? std::copysign(INFINITY, a) : static_cast<float>(1.0 / std::sqrt(double{a}));
  });
  // 2^-130 is subnormal.
  EXPECT_EQ(apply<float>("ex2.approx.ftz.f32 %d, %a;", std::vector<float>{-130.0F})[0], 0.0F);
}

TEST_F(PtxFloatTest, Properties) {
  const std::vector<float> a = boundary_floats<float>();
  const auto property = [&](std::string_view name) {
    return apply<std::uint32_t>(fmt::format("testp.{}.f32 %p, %a; selp.u32 %d, 1, 0, %p;", name),
                                a);
  };
  const auto finite = property("finite");
  const auto infinite = property("infinite");
  const auto number = property("number");
  const auto normal = property("normal");
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(finite[i] != 0, std::isfinite(a[i]));
    EXPECT_EQ(infinite[i] != 0, std::isinf(a[i]));
    EXPECT_EQ(number[i] != 0, !std::isnan(a[i]));
    EXPECT_EQ(normal[i] != 0, std::isnormal(a[i]));
  }
}

TEST_F(PtxFloatTest, Comparisons) {
  std::vector<float> a = boundary_floats<float>();
  std::vector<float> b = a;
  combine(a, b);
  const struct {
    std::string_view name;
    bool (*reference)(float, float);
  } comparisons[] = {{"eq", [](float x, float y) { return x == y; }},
                     {"ne", [](float x, float y) { return !std::isunordered(x, y) && x != y; }},
                     {"lt", [](float x, float y) { return x < y; }},
                     {"le", [](float x, float y) { return x <= y; }},
                     {"gt", [](float x, float y) { return x > y; }},
                     {"ge", [](float x, float y) { return x >= y; }},
                     {"equ", [](float x, float y) { return std::isunordered(x, y) || x == y; }},
                     {"neu", [](float x, float y) { return x != y; }},
                     {"ltu", [](float x, float y) { return std::isunordered(x, y) || x < y; }},
                     {"leu", [](float x, float y) { return std::isunordered(x, y) || x <= y; }},
                     {"gtu", [](float x, float y) { return std::isunordered(x, y) || x > y; }},
                     {"geu", [](float x, float y) { return std::isunordered(x, y) || x >= y; }},
                     {"num", [](float x, float y) { return !std::isunordered(x, y); }},
                     {"nan", [](float x, float y) { return std::isunordered(x, y); }}};
  for (const auto& [name, reference] : comparisons) {
    // Both results, combined with "a is negative".
    const auto results = apply<std::uint32_t>(
        fmt::format("setp.lt.f32 %p, %a, 0f00000000; setp.{}.and.f32 %p|%q, %a, %b, !%p;"
                    "selp.u32 %t, 1, 0, %p; selp.u32 %u, 2, 0, %q; or.b32 %d, %t, %u;",
                    name),
        a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const bool expected = reference(a[i], b[i]);
      const bool with = !(a[i] < 0);
      ASSERT_EQ(results[i], (expected && with ? 1U : 0U) + (!expected && with ? 2U : 0U))
          << name << ' ' << a[i] << ' ' << b[i];
    }
  }
}

TEST_F(PtxFloatTest, IntegerComparisonsMindTheSign) {
  std::vector<std::int32_t> a = boundary_integers<std::int32_t>();
  std::vector<std::int32_t> b = a;
  combine(a, b);
  const auto result = [&](std::string_view form) {
    return apply<std::uint32_t>(fmt::format("setp.{} %p, %a, %b; selp.u32 %d, 1, 0, %p;", form), a,
                                b);
  };
  const auto less = result("lt.s32");
  const auto lower = result("lo.u32");
  const auto equal = result("eq.b32");
  const auto higher = result("hs.u32");
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<std::uint32_t>(a[i]);
    const auto y = static_cast<std::uint32_t>(b[i]);
    ASSERT_EQ(less[i] != 0, a[i] < b[i]);
    ASSERT_EQ(lower[i] != 0, x < y);
    ASSERT_EQ(equal[i] != 0, x == y);
    ASSERT_EQ(higher[i] != 0, x >= y);
  }
}

TEST_F(PtxFloatTest, Choices) {
  const std::vector<std::int32_t> a = boundary_integers<std::int32_t>();
  const auto by_sign = apply<std::uint32_t>("slct.u32.s32 %d, 7, 9, %a;", a);
  const auto as_mask = apply<std::uint32_t>("set.lt.u32.s32 %d, %a, 5;", a);
  const auto as_float = apply<float>("set.lt.f32.s32 %d, %a, 5;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(by_sign[i], a[i] >= 0 ? 7U : 9U);
    EXPECT_EQ(as_mask[i], a[i] < 5 ? 0xffffffffU : 0U);
    EXPECT_EQ(as_float[i], a[i] < 5 ? 1.0F : 0.0F);
  }
}

}  // namespace
}  // namespace kvsieve::ptx
