// cvt between whole numbers and floats, and between widths.

#include <gtest/gtest.h>

#include <cfenv>

#include "kernels/ptx/apply.h"

namespace kvsieve::ptx {
namespace {

TEST(PtxConversionsTest, FloatsToWholeNumbers) {
  std::vector<float> a = boundary_floats<float>();
  for (const float value : {2.5F, 3.5F, -2.5F, 2147483520.0F, 2147483648.0F, -2147483648.0F, 4.3e9F,
                            9.3e18F, -9.3e18F, 254.5F, 255.5F}) {
    a.push_back(value);
  }
  const struct {
    std::string_view name;
    double (*round)(double);
  } roundings[] = {{"rni", [](double x) { return std::nearbyint(x); }},
                   {"rzi", [](double x) { return std::trunc(x); }},
                   {"rmi", [](double x) { return std::floor(x); }},
                   {"rpi", [](double x) { return std::ceil(x); }}};
  for (const auto& [name, round] : roundings) {
    const auto to_s32 = apply<std::int32_t>(fmt::format("cvt.{}.s32.f32 %d, %a;", name), a);
    const auto to_u32 = apply<std::uint32_t>(fmt::format("cvt.{}.u32.f32 %d, %a;", name), a);
    const auto to_u8 = apply<std::uint32_t>(fmt::format("cvt.{}.u8.f32 %d, %a;", name), a);
    const auto whole = apply<float>(fmt::format("cvt.{}.f32.f32 %d, %a;", name), a);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double rounded = round(double{a[i]});
      if (std::isnan(a[i])) {
        EXPECT_EQ(to_s32[i], 0);
        EXPECT_EQ(to_u32[i], 0U);
        continue;
      }
      EXPECT_EQ(to_s32[i], std::clamp(rounded, -2147483648.0, 2147483647.0)) << a[i];
      EXPECT_EQ(to_u32[i], std::clamp(rounded, 0.0, 4294967295.0)) << a[i];
      EXPECT_EQ(to_u8[i], std::clamp(rounded, 0.0, 255.0)) << a[i];
      EXPECT_TRUE(same(whole[i], static_cast<float>(rounded))) << name << ' ' << a[i];
    }
  }
}

TEST(PtxConversionsTest, NoNumberToWholeNumbers) {
  const std::vector<float> single(1, std::numeric_limits<float>::quiet_NaN());
  const std::vector<double> twice(1, std::numeric_limits<double>::quiet_NaN());
  const std::vector<std::uint16_t> half(1, 0x7e00);
  EXPECT_EQ(apply<std::uint32_t>("cvt.rzi.s32.f32 %d, %a;", single)[0], 0U);
  EXPECT_EQ(apply<std::uint32_t>("cvt.rzi.u32.f16 %d, %a;", half)[0], 0U);
  EXPECT_EQ(apply<std::uint64_t>("cvt.rzi.u64.f32 %d, %a;", single)[0], std::uint64_t{1} << 63);
  EXPECT_EQ(apply<std::uint64_t>("cvt.rzi.s64.f16 %d, %a;", half)[0], std::uint64_t{1} << 63);
  EXPECT_EQ(apply<std::uint64_t>("cvt.rzi.s64.f64 %d, %a;", twice)[0], std::uint64_t{1} << 63);
  EXPECT_EQ(apply<std::uint32_t>("cvt.rzi.s32.f64 %d, %a;", twice)[0], 0x80000000U);
  EXPECT_EQ(apply<std::uint32_t>("cvt.rzi.u32.f64 %d, %a;", twice)[0], 0x80000000U);
}

TEST(PtxConversionsTest, WholeNumbersToFloats) {
  std::vector<std::int64_t> a = boundary_integers<std::int64_t>();
  for (const std::int64_t value : {(1LL << 24) + 1, (1LL << 25) + 2, -(1LL << 24) - 1,
                                   (1LL << 53) + 1, 0x7fffffbfffffffffLL}) {
    a.push_back(value);
  }
  const auto nearest = apply<float>("cvt.rn.f32.s64 %d, %a;", a);
  const auto down = apply<float>("cvt.rm.f32.s64 %d, %a;", a);
  const auto up = apply<float>("cvt.rp.f32.s64 %d, %a;", a);
  const auto to_double = apply<double>("cvt.rn.f64.s64 %d, %a;", a);
  const auto from_unsigned = apply<float>("cvt.rn.f32.u64 %d, %a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(nearest[i], static_cast<float>(a[i]));
    EXPECT_EQ(to_double[i], static_cast<double>(a[i]));
    EXPECT_EQ(from_unsigned[i], static_cast<float>(static_cast<std::uint64_t>(a[i])));
    // long double holds all of them exactly.
    using Wide = long double;
    EXPECT_LE(Wide{down[i]}, static_cast<Wide>(a[i]));
    EXPECT_GT(Wide{std::nextafter(down[i], INFINITY)}, static_cast<Wide>(a[i])) << a[i];
    EXPECT_GE(Wide{up[i]}, static_cast<Wide>(a[i]));
    EXPECT_LT(Wide{std::nextafter(up[i], -INFINITY)}, static_cast<Wide>(a[i])) << a[i];
  }
}

TEST(PtxConversionsTest, BetweenWidths) {
  const std::vector<std::uint32_t> a = {0,      1,      0x7f,       0x80,       0xff,
                                        0x8000, 0xffff, 0x80000000, 0xffffffff, 0x12345678};
  const auto byte = apply<std::uint32_t>("cvt.u32.u8 %d, %a;", a);
  const auto signed_byte = apply<std::int32_t>("cvt.s32.s8 %d, %a;", a);
  const auto extended = apply<std::int64_t>("cvt.s64.s32 %d, %a;", a);
  const auto zero_extended = apply<std::uint64_t>("cvt.u64.u32 %d, %a;", a);
  const auto narrow = apply<std::uint16_t>("cvt.u16.u32 %d, %a;", a);
  const auto saturated = apply<std::int32_t>("cvt.sat.s8.s32 %d, %a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(byte[i], a[i] & 0xff);
    EXPECT_EQ(signed_byte[i], static_cast<std::int8_t>(a[i]));
    EXPECT_EQ(extended[i], static_cast<std::int32_t>(a[i]));
    EXPECT_EQ(zero_extended[i], a[i]);
    EXPECT_EQ(narrow[i], a[i] & 0xffff);
    EXPECT_EQ(saturated[i], std::clamp(static_cast<std::int32_t>(a[i]), -128, 127));
  }
}

TEST(PtxConversionsTest, BetweenFloats) {
  const std::vector<double> a = boundary_floats<double>();
  const auto narrow = apply<float>("cvt.rn.f32.f64 %d, %a;", a);
  const auto cut = apply<float>("cvt.rz.f32.f64 %d, %a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(same(narrow[i], static_cast<float>(a[i])));
    if (std::isfinite(a[i])) {
      EXPECT_LE(std::fabs(double{cut[i]}), std::fabs(a[i]));
    }
  }
  const std::vector<float> b = boundary_floats<float>();
  const auto saturated = apply<float>("cvt.sat.f32.f32 %d, %a;", b);
  const auto wide = apply<double>("cvt.f64.f32 %d, %a;", b);
  for (std::size_t i = 0; i < b.size(); ++i) {
    EXPECT_EQ(saturated[i], b[i] > 0 ? std::min(b[i], 1.0F) : 0.0F);
    EXPECT_TRUE(same(wide[i], double{b[i]}));
  }
}

}  // namespace
}  // namespace kvsieve::ptx
