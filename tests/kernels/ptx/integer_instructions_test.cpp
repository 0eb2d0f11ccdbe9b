// Whole numbers against C++'s own arithmetic in wider types.

#include <gtest/gtest.h>

#include <bit>

#include "kernels/ptx/apply.h"

namespace kvsieve::ptx {
namespace {

template <class T>
constexpr std::string_view kTypeName = "";
template <>
constexpr std::string_view kTypeName<std::uint16_t> = "u16";
template <>
constexpr std::string_view kTypeName<std::int16_t> = "s16";
template <>
constexpr std::string_view kTypeName<std::uint32_t> = "u32";
template <>
constexpr std::string_view kTypeName<std::int32_t> = "s32";
template <>
constexpr std::string_view kTypeName<std::uint64_t> = "u64";
template <>
constexpr std::string_view kTypeName<std::int64_t> = "s64";

using Wide = __int128;
using UnsignedWide = unsigned __int128;

template <class T>
class PtxIntegerTest : public testing::Test {
 protected:
  /// Checks `opcode.type %d, %a, %b` against reference(a, b).
  template <class D = T, class Reference>
  void check(std::string_view opcode, const Reference& reference) {
    std::vector<T> a = boundary_integers<T>();
    std::vector<T> b = a;
    combine(a, b);
    const std::vector<D> results =
        apply<D>(fmt::format("{}.{} %d, %a, %b;", opcode, kTypeName<T>), a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(results[i], static_cast<D>(reference(a[i], b[i])))
          << opcode << ' ' << kTypeName<T> << ' ' << +a[i] << ' ' << +b[i];
    }
  }
};

using Integers = testing::Types<std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                                std::uint64_t, std::int64_t>;
TYPED_TEST_SUITE(PtxIntegerTest, Integers);

TYPED_TEST(PtxIntegerTest, SumsWrap) {
  using T = TypeParam;
  this->check("add", [](T a, T b) { return UnsignedWide(Wide{a}) + UnsignedWide(Wide{b}); });
  this->check("sub", [](T a, T b) { return UnsignedWide(Wide{a}) - UnsignedWide(Wide{b}); });
}

TYPED_TEST(PtxIntegerTest, ProductsLowAndHigh) {
  using T = TypeParam;
  const auto product = [](T a, T b) {
    return std::is_signed_v<T> ? UnsignedWide(Wide{a} * Wide{b}) : UnsignedWide(a) * b;
  };
  this->check("mul.lo", product);
  this->check("mul.hi", [&](T a, T b) { return product(a, b) >> (8 * sizeof(T)); });
}

TYPED_TEST(PtxIntegerTest, QuotientsAndRemainders) {
  using T = TypeParam;
  this->check("div", [](T a, T b) { return b == 0 ? Wide{-1} : Wide{a} / Wide{b}; });
  this->check("rem", [](T a, T b) { return b == 0 ? Wide{a} : Wide{a} % Wide{b}; });
}

TYPED_TEST(PtxIntegerTest, Extrema) {
  using T = TypeParam;
  this->check("min", [](T a, T b) { return a < b ? a : b; });
  this->check("max", [](T a, T b) { return a > b ? a : b; });
}

TYPED_TEST(PtxIntegerTest, MultipliesAndAdds) {
  using T = TypeParam;
  std::vector<T> a = boundary_integers<T>();
  std::vector<T> b = a;
  std::vector<T> c = {T{0}, T{5}, std::numeric_limits<T>::max()};
  combine(a, b, c);
  const auto low = apply<T>(fmt::format("mad.lo.{} %d, %a, %b, %c;", kTypeName<T>), a, b, c);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(low[i], static_cast<T>(UnsignedWide(Wide{a[i]}) * UnsignedWide(Wide{b[i]}) +
                                     UnsignedWide(Wide{c[i]})));
  }
}

TYPED_TEST(PtxIntegerTest, ShiftsClampTheirAmount) {
  using T = TypeParam;
  std::vector<T> a = boundary_integers<T>();
  std::vector<std::uint32_t> b = {0, 1, 5, 15, 16, 31, 32, 33, 63, 64, 65, 0xffffffff};
  combine(a, b);
  constexpr unsigned kBits = 8 * sizeof(T);
  const auto right = apply<T>(fmt::format("shr.{} %d, %a, %b;", kTypeName<T>), a, b);
  const auto left = apply<T>(fmt::format("shl.b{} %d, %a, %b;", kBits), a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const T fill = std::is_signed_v<T> && a[i] < 0 ? static_cast<T>(-1) : T{0};
    ASSERT_EQ(right[i], b[i] >= kBits ? fill : static_cast<T>(Wide{a[i]} >> b[i])) << b[i];
    ASSERT_EQ(left[i], b[i] >= kBits ? T{0} : static_cast<T>(UnsignedWide(Wide{a[i]}) << b[i]));
  }
}

TEST(PtxIntegerInstructionsTest, WideProducts) {
  std::vector<std::int32_t> a = boundary_integers<std::int32_t>();
  std::vector<std::int32_t> b = a;
  std::vector<std::int64_t> c = {0, -1, std::numeric_limits<std::int64_t>::max()};
  combine(a, b, c);
  const auto sums = apply<std::int64_t>("mad.wide.s32 %d, %a, %b, %c;", a, b, c);
  const auto products = apply<std::uint64_t>("mul.wide.u32 %d, %a, %b;", a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(
        static_cast<std::uint64_t>(sums[i]),
        static_cast<std::uint64_t>(std::int64_t{a[i]} * b[i]) + static_cast<std::uint64_t>(c[i]));
    ASSERT_EQ(products[i],
              std::uint64_t{static_cast<std::uint32_t>(a[i])} * static_cast<std::uint32_t>(b[i]));
  }
}

TEST(PtxIntegerInstructionsTest, SaturatedSums) {
  std::vector<std::int32_t> a = boundary_integers<std::int32_t>();
  std::vector<std::int32_t> b = a;
  combine(a, b);
  const auto clamp = [](std::int64_t value) {
    return std::clamp<std::int64_t>(value, INT32_MIN, INT32_MAX);
  };
  const auto sums = apply<std::int32_t>("add.sat.s32 %d, %a, %b;", a, b);
  const auto differences = apply<std::int32_t>("sub.sat.s32 %d, %a, %b;", a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(sums[i], clamp(std::int64_t{a[i]} + b[i]));
    ASSERT_EQ(differences[i], clamp(std::int64_t{a[i]} - b[i]));
  }
}

TEST(PtxIntegerInstructionsTest, SignsAndDistances) {
  std::vector<std::int32_t> a = boundary_integers<std::int32_t>();
  std::vector<std::int32_t> b = a;
  combine(a, b);
  const auto negated = apply<std::int32_t>("neg.s32 %d, %a;", a);
  const auto absolute = apply<std::int32_t>("abs.s32 %d, %a;", a);
  const auto distance = apply<std::uint32_t>("sad.s32 %d, %a, %b, 3;", a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::int64_t wide = a[i];
    ASSERT_EQ(negated[i], static_cast<std::int32_t>(-wide));
    ASSERT_EQ(absolute[i], static_cast<std::int32_t>(wide < 0 ? -wide : wide));
    ASSERT_EQ(distance[i], static_cast<std::uint32_t>(std::abs(wide - b[i]) + 3));
  }
}

TEST(PtxIntegerInstructionsTest, Products24) {
  std::vector<std::uint32_t> a = {0, 1, 0xffffff, 0x800000, 0x7fffff, 0xff123456, 0x1000001};
  std::vector<std::uint32_t> b = a;
  combine(a, b);
  const auto low = apply<std::uint32_t>("mul24.lo.u32 %d, %a, %b;", a, b);
  const auto high = apply<std::int32_t>("mul24.hi.s32 %d, %a, %b;", a, b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::uint64_t product = std::uint64_t{a[i] & 0xffffff} * (b[i] & 0xffffff);
    ASSERT_EQ(low[i], static_cast<std::uint32_t>(product));
    const auto sign24 = [](std::uint32_t v) { return std::int64_t{static_cast<int>(v << 8) >> 8}; };
    ASSERT_EQ(high[i], static_cast<std::int32_t>((sign24(a[i]) * sign24(b[i])) >> 16));
  }
}

TEST(PtxBitInstructionsTest, Logic) {
  std::vector<std::uint32_t> a = {0, 0xffffffff, 0x12345678, 0x80000001};
  std::vector<std::uint32_t> b = a;
  std::vector<std::uint32_t> c = a;
  combine(a, b, c);
  const auto conjunction = apply<std::uint32_t>("and.b32 %d, %a, %b;", a, b);
  const auto disjunction = apply<std::uint32_t>("or.b32 %d, %a, %b;", a, b);
  const auto exclusive = apply<std::uint32_t>("xor.b32 %d, %a, %b;", a, b);
  const auto negated = apply<std::uint32_t>("not.b32 %d, %a;", a);
  const auto logical = apply<std::uint32_t>("cnot.b32 %d, %a;", a);
  // 0x96 is a ^ b ^ c, 0xe8 the majority, 0xca a ? b : c.
  const auto parity = apply<std::uint32_t>("lop3.b32 %d, %a, %b, %c, 0x96;", a, b, c);
  const auto majority = apply<std::uint32_t>("lop3.b32 %d, %a, %b, %c, 0xe8;", a, b, c);
  const auto choice = apply<std::uint32_t>("lop3.b32 %d, %a, %b, %c, 0xca;", a, b, c);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(conjunction[i], a[i] & b[i]);
    ASSERT_EQ(disjunction[i], a[i] | b[i]);
    ASSERT_EQ(exclusive[i], a[i] ^ b[i]);
    ASSERT_EQ(negated[i], ~a[i]);
    ASSERT_EQ(logical[i], a[i] == 0 ? 1U : 0U);
    ASSERT_EQ(parity[i], a[i] ^ b[i] ^ c[i]);
    ASSERT_EQ(majority[i], (a[i] & b[i]) | (a[i] & c[i]) | (b[i] & c[i]));
    ASSERT_EQ(choice[i], (a[i] & b[i]) | (~a[i] & c[i]));
  }
}

TEST(PtxBitInstructionsTest, Counts) {
  const std::vector<std::uint32_t> a = {0, 1, 0x80000000, 0xffffffff, 0x00f00000, 0x7fffffff};
  const auto ones = apply<std::uint32_t>("popc.b32 %d, %a;", a);
  const auto zeros = apply<std::uint32_t>("clz.b32 %d, %a;", a);
  const auto reversed = apply<std::uint32_t>("brev.b32 %d, %a;", a);
  const auto highest = apply<std::uint32_t>("bfind.u32 %d, %a;", a);
  const auto highest_signed = apply<std::uint32_t>("bfind.s32 %d, %a;", a);
  const auto distance = apply<std::uint32_t>("bfind.shiftamt.u32 %d, %a;", a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(ones[i], static_cast<unsigned>(std::popcount(a[i])));
    ASSERT_EQ(zeros[i], static_cast<unsigned>(std::countl_zero(a[i])));
    std::uint32_t expected = 0;
    for (unsigned bit = 0; bit < 32; ++bit) {
      expected |= (a[i] >> bit & 1U) << (31 - bit);
    }
    ASSERT_EQ(reversed[i], expected);
    ASSERT_EQ(highest[i], a[i] == 0 ? 0xffffffffU : 31U - zeros[i]);
    ASSERT_EQ(distance[i], a[i] == 0 ? 0xffffffffU : zeros[i]);
    const std::uint32_t magnitude = a[i] >> 31 != 0 ? ~a[i] : a[i];
    ASSERT_EQ(highest_signed[i], magnitude == 0
                                     ? 0xffffffffU
                                     : 31U - static_cast<unsigned>(std::countl_zero(magnitude)));
  }
  const std::vector<std::uint64_t> wide = {0, 1, std::uint64_t{1} << 63, 0x00ff000000000000};
  const auto wide_ones = apply<std::uint32_t>("popc.b64 %d, %a;", wide);
  const auto wide_zeros = apply<std::uint32_t>("clz.b64 %d, %a;", wide);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    ASSERT_EQ(wide_ones[i], static_cast<unsigned>(std::popcount(wide[i])));
    ASSERT_EQ(wide_zeros[i], static_cast<unsigned>(std::countl_zero(wide[i])));
  }
}

TEST(PtxBitInstructionsTest, Fields) {
  std::vector<std::uint32_t> a = {0, 0xffffffff, 0x12345678, 0xdeadbeef};
  std::vector<std::uint32_t> position = {0, 1, 7, 31, 32, 40};
  std::vector<std::uint32_t> length = {0, 1, 8, 31, 32, 33};
  combine(a, position, length);
  const auto fields = apply<std::uint32_t>("bfe.u32 %d, %a, %b, %c;", a, position, length);
  const auto signed_fields = apply<std::int32_t>("bfe.s32 %d, %a, %b, %c;", a, position, length);
  const auto inserted =
      apply<std::uint32_t>("bfi.b32 %d, %a, 0x0f0f0f0f, %b, %c;", a, position, length);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::uint64_t mask = (std::uint64_t{1} << std::min(length[i], 32U)) - 1;
    ASSERT_EQ(fields[i], static_cast<std::uint32_t>((std::uint64_t{a[i]} >> position[i]) & mask));
    // Bits beyond the top are the sign of the field, or of the number.
    std::int64_t expected = 0;
    if (length[i] != 0) {
      const std::int64_t shifted =
          std::int64_t{static_cast<std::int32_t>(a[i])} >> std::min(position[i], 31U);
      const unsigned drop = 64 - std::min(length[i], 32U);
      expected =
          position[i] > 31
              ? (static_cast<std::int32_t>(a[i]) < 0 ? -1 : 0)
              : static_cast<std::int64_t>(static_cast<std::uint64_t>(shifted) << drop) >> drop;
    }
    ASSERT_EQ(signed_fields[i], static_cast<std::int32_t>(expected))
        << a[i] << ' ' << position[i] << ' ' << length[i];
    const std::uint64_t place = mask << position[i];
    ASSERT_EQ(inserted[i],
              static_cast<std::uint32_t>((0x0f0f0f0fULL & ~place) |
                                         ((std::uint64_t{a[i]} << position[i]) & place)));
  }
}

TEST(PtxBitInstructionsTest, PermutesBytes) {
  const std::vector<std::uint32_t> selectors = {0x3210, 0x7654, 0x0123, 0x5410, 0x8f98, 0xba47};
  const auto results =
      apply<std::uint32_t>("mov.b32 %t, 0x83828180; prmt.b32 %d, 0x73727170, %t, %a;", selectors);
  const std::uint8_t bytes[] = {0x70, 0x71, 0x72, 0x73, 0x80, 0x81, 0x82, 0x83};
  for (std::size_t i = 0; i < selectors.size(); ++i) {
    std::uint32_t expected = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
      const unsigned nibble = selectors[i] >> (4 * byte) & 0xf;
      const std::uint8_t value = bytes[nibble & 7];
      expected |= (nibble < 8 ? value : value >> 7 != 0 ? 0xffU : 0U) << (8 * byte);
    }
    ASSERT_EQ(results[i], expected) << selectors[i];
  }
  // The special modes, with the selector 1.
  EXPECT_EQ(apply<std::uint32_t>("prmt.b32.f4e %d, 0x33221100, 0x77665544, %a;",
                                 std::vector<std::uint32_t>{1})[0],
            0x44332211U);
  EXPECT_EQ(apply<std::uint32_t>("prmt.b32.b4e %d, 0x33221100, 0x77665544, %a;",
                                 std::vector<std::uint32_t>{1})[0],
            0x66770011U);
  EXPECT_EQ(apply<std::uint32_t>("prmt.b32.rc8 %d, 0x33221100, 0x77665544, %a;",
                                 std::vector<std::uint32_t>{1})[0],
            0x11111111U);
  EXPECT_EQ(apply<std::uint32_t>("prmt.b32.rc16 %d, 0x33221100, 0x77665544, %a;",
                                 std::vector<std::uint32_t>{1})[0],
            0x33223322U);
  EXPECT_EQ(apply<std::uint32_t>("prmt.b32.ecl %d, 0x33221100, 0x77665544, %a;",
                                 std::vector<std::uint32_t>{1})[0],
            0x33221111U);
  EXPECT_EQ(apply<std::uint32_t>("prmt.b32.ecr %d, 0x33221100, 0x77665544, %a;",
                                 std::vector<std::uint32_t>{1})[0],
            0x11111100U);
}

TEST(PtxBitInstructionsTest, FunnelShifts) {
  const std::vector<std::uint32_t> amounts = {0, 1, 16, 31, 32, 33, 255};
  const std::uint64_t both = 0x89abcdef01234567ULL;
  const auto shift = [&](std::string_view form) {
    return apply<std::uint32_t>(fmt::format("shf.{}.b32 %d, 0x01234567, 0x89abcdef, %a;", form),
                                amounts);
  };
  const auto right_wrap = shift("r.wrap");
  const auto right_clamp = shift("r.clamp");
  const auto left_wrap = shift("l.wrap");
  const auto left_clamp = shift("l.clamp");
  for (std::size_t i = 0; i < amounts.size(); ++i) {
    const unsigned wrapped = amounts[i] % 32;
    const unsigned clamped = std::min(amounts[i], 32U);
    ASSERT_EQ(right_wrap[i], static_cast<std::uint32_t>(both >> wrapped));
    ASSERT_EQ(right_clamp[i], static_cast<std::uint32_t>(both >> clamped));
    ASSERT_EQ(left_wrap[i], static_cast<std::uint32_t>((both << wrapped) >> 32));
    ASSERT_EQ(left_clamp[i], static_cast<std::uint32_t>((both << clamped) >> 32));
  }
}

TEST(PtxMovesTest, PacksAndUnpacks) {
  const std::vector<std::uint64_t> a = {0x0123456789abcdefULL, 0xfedcba9876543210ULL};
  const auto swapped = apply<std::uint64_t>("mov.b64 {%t, %u}, %a; mov.b64 %d, {%u, %t};", a);
  const auto high = apply<std::uint32_t>("mov.b64 {_, %d}, %a;", a);
  const auto quarters = apply<std::uint64_t>(
      "{ .reg .b16 %x<4>; mov.b64 {%x0, %x1, %x2, %x3}, %a; mov.b64 %d, {%x3, %x2, %x1, %x0}; }",
      a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(swapped[i], a[i] << 32 | a[i] >> 32);
    ASSERT_EQ(high[i], a[i] >> 32);
    ASSERT_EQ(quarters[i], (a[i] & 0xffff) << 48 | (a[i] >> 16 & 0xffff) << 32 |
                               (a[i] >> 32 & 0xffff) << 16 | a[i] >> 48);
  }
}

TEST(PtxMovesTest, SpecialRegisters) {
  const std::vector<std::uint32_t> rows(70);
  const auto lanes = apply<std::uint32_t>("mov.u32 %d, %laneid;", rows);
  const auto below = apply<std::uint32_t>("mov.u32 %d, %lanemask_lt;", rows);
  const auto upwards = apply<std::uint32_t>("mov.u32 %d, %lanemask_ge;", rows);
  for (unsigned i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(lanes[i], i % 32);
    ASSERT_EQ(below[i], (1U << (i % 32)) - 1);
    ASSERT_EQ(upwards[i], ~((1U << (i % 32)) - 1));
  }
}

}  // namespace
}  // namespace kvsieve::ptx
