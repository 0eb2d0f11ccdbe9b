// Shuffles, votes, matches, reductions, and the tensor core, lane by lane against their
// definitions.

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <bit>
#include <numeric>
#include <random>

#include "exec/ptx/half.h"
#include "kernels/ptx/apply.h"

namespace kvsieve::ptx {
namespace {

std::vector<std::uint32_t> numbers(std::size_t count = 32) {
  std::vector<std::uint32_t> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    result[i] = static_cast<std::uint32_t>(i * 37 % 19 + 100);
  }
  return result;
}

TEST(PtxWarpOperationsTest, Shuffles) {
  const std::vector<std::uint32_t> a = numbers();
  const auto shuffle = [&](std::string_view mode, unsigned amount, unsigned clamp) {
    return apply<std::uint32_t>(
        fmt::format("shfl.sync.{}.b32 %d|%p, %a, {}, {}, -1; @!%p add.u32 %d, %d, 1000;", mode,
                    amount, clamp),
        a);
  };
  // 31 as the last operand is the whole warp, 0x1807 parts of eight lanes (0 for .up).
  const auto butterfly = shuffle("bfly", 5, 31);
  const auto up = shuffle("up", 3, 0);
  const auto down = shuffle("down", 3, 31);
  const auto index = shuffle("idx", 9, 31);
  const auto down8 = shuffle("down", 3, 0x1807);
  const auto index8 = shuffle("idx", 9, 0x1807);
  const auto up8 = shuffle("up", 3, 0x1800);
  for (unsigned lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(butterfly[lane], a[lane ^ 5]);
    EXPECT_EQ(up[lane], lane >= 3 ? a[lane - 3] : a[lane] + 1000);
    EXPECT_EQ(down[lane], lane + 3 < 32 ? a[lane + 3] : a[lane] + 1000);
    EXPECT_EQ(index[lane], a[9]);
    EXPECT_EQ(down8[lane], lane % 8 + 3 < 8 ? a[lane + 3] : a[lane] + 1000);
    EXPECT_EQ(index8[lane], a[lane / 8 * 8 + 1]);
    EXPECT_EQ(up8[lane], lane % 8 >= 3 ? a[lane - 3] : a[lane] + 1000);
  }
}

TEST(PtxWarpOperationsTest, VotesOfTheLanesNamed) {
  const std::vector<std::uint32_t> a = numbers();
  const auto ballot =
      apply<std::uint32_t>("setp.gt.u32 %p, %a, 110; vote.sync.ballot.b32 %d, %p, -1;", a);
  const auto any = apply<std::uint32_t>(
      "setp.eq.u32 %p, %a, 100; vote.sync.any.pred %q, %p, -1; selp.u32 %d, 1, 0, %q;", a);
  const auto not_all = apply<std::uint32_t>(
      "setp.eq.u32 %p, %a, 100; vote.sync.all.pred %q, !%p, -1; selp.u32 %d, 1, 0, %q;", a);
  const auto uniform = apply<std::uint32_t>(
      "setp.ge.u32 %p, %a, 100; vote.sync.uni.pred %q, %p, -1; selp.u32 %d, 1, 0, %q;", a);
  // Each half of the warp by itself.
  const auto halves = apply<std::uint32_t>(
      "mov.u32 %t, %laneid; setp.lt.u32 %q, %t, 16; selp.b32 %u, 0xffff, 0xffff0000, %q;"
      "setp.gt.u32 %p, %a, 110; vote.sync.ballot.b32 %d, %p, %u;",
      a);
  std::uint32_t expected = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    expected |= (a[lane] > 110 ? 1U : 0U) << lane;
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(ballot[lane], expected);
    EXPECT_EQ(any[lane], 1U);
    EXPECT_EQ(not_all[lane], 0U);
    EXPECT_EQ(uniform[lane], 1U);
    EXPECT_EQ(halves[lane], expected & (lane < 16 ? 0xffffU : 0xffff0000U));
  }
}

TEST(PtxWarpOperationsTest, MatchesAndReductions) {
  const std::vector<std::uint32_t> a = numbers();
  const auto same = apply<std::uint32_t>("match.any.sync.b32 %d, %a, -1;", a);
  const auto all = apply<std::uint32_t>("match.all.sync.b32 %d|%p, 5, -1; @!%p mov.u32 %d, 77;", a);
  const auto not_all =
      apply<std::uint32_t>("match.all.sync.b32 %d|%p, %a, -1; @!%p add.u32 %d, %d, 77;", a);
  const auto sum = apply<std::uint32_t>("redux.sync.add.u32 %d, %a, -1;", a);
  const auto least = apply<std::int32_t>("sub.s32 %t, %a, 110; redux.sync.min.s32 %d, %t, -1;", a);
  const auto bits = apply<std::uint32_t>("redux.sync.xor.b32 %d, %a, -1;", a);
  const auto elected = apply<std::uint32_t>("elect.sync %t|%p, -1; selp.u32 %d, 1, 0, %p;", a);
  for (unsigned lane = 0; lane < 32; ++lane) {
    std::uint32_t expected = 0;
    for (unsigned other = 0; other < 32; ++other) {
      expected |= (a[other] == a[lane] ? 1U : 0U) << other;
    }
    EXPECT_EQ(same[lane], expected);
    EXPECT_EQ(all[lane], 0xffffffffU);
    EXPECT_EQ(not_all[lane], 77U);
    EXPECT_EQ(sum[lane], std::accumulate(a.begin(), a.end(), 0U));
    EXPECT_EQ(least[lane], static_cast<int>(*std::min_element(a.begin(), a.end())) - 110);
    EXPECT_EQ(bits[lane], std::accumulate(a.begin(), a.end(), 0U, std::bit_xor<>()));
    EXPECT_EQ(elected[lane], lane == 0 ? 1U : 0U);
  }
}

TEST(PtxWarpOperationsTest, LanesMeetThatCameDifferentWays) {
  // Odd and even lanes part, and meet in the shuffle behind.
  const auto results = apply<std::uint32_t>(
      "and.b32 %t, %a, 1; setp.eq.u32 %p, %t, 0; @%p bra even; mul.lo.u32 %u, %a, 3; bra join;"
      "even: mul.lo.u32 %u, %a, 2; join: shfl.sync.bfly.b32 %d, %u, 1, 31, -1;",
      numbers());
  for (unsigned lane = 0; lane < 32; ++lane) {
    const std::uint32_t other = numbers()[lane ^ 1];
    EXPECT_EQ(results[lane], other * (other % 2 == 0 ? 2 : 3));
  }
}

/// Random numbers between -2 and 2 that fp16 and bf16 hold exactly.
std::vector<double> matrix(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<double> result(size);
  for (double& value : result) {
    value = static_cast<int>(random() % 129) / 32.0 - 2.0;
  }
  return result;
}

class PtxMatrixTest : public testing::TestWithParam<const char*> {
 protected:
  static std::uint16_t bits(double value) {
    return std::string_view(GetParam()) == "bf16" ? to_bf16(value) : to_half(value);
  }
};

TEST_P(PtxMatrixTest, MultipliesAsInDoublePrecision) {
  const std::vector<double> a = matrix(16 * 16, 1);
  const std::vector<double> b = matrix(16 * 8, 2);
  const std::vector<double> c = matrix(16 * 8, 3);
  // Fragments as PTX documents them.
  std::vector<std::uint32_t> fragments(32 * 6);
  std::vector<float> sums(32 * 4);
  const auto pair = [](double low, double high) {
    return std::uint32_t{bits(high)} << 16 | bits(low);
  };
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned group = lane / 4;
    const unsigned in_group = lane % 4;
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = group + (i % 2 == 1 ? 8 : 0);
      const unsigned column = in_group * 2 + (i >= 2 ? 8 : 0);
      fragments[lane * 6 + i] = pair(a[row * 16 + column], a[row * 16 + column + 1]);
      sums[lane * 4 + i] =
          static_cast<float>(c[(group + (i >= 2 ? 8 : 0)) * 8 + in_group * 2 + i % 2]);
    }
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned row = in_group * 2 + i * 8;
      fragments[lane * 6 + 4 + i] = pair(b[row * 8 + group], b[(row + 1) * 8 + group]);
    }
  }
  const Program program(one_kernel({"in", "sums"}, fmt::format(R"(
  .reg .b32 %r<8>; .reg .f32 %f<4>; .reg .b64 %x, %y;
  mov.u32 %r7, %tid.x;
  mad.wide.u32 %x, %r7, 24, %in;
  mad.wide.u32 %y, %r7, 16, %sums;
  ld.global.v2.b32 {{%r0, %r1}}, [%x];
  ld.global.v2.b32 {{%r2, %r3}}, [%x+8];
  ld.global.v2.b32 {{%r4, %r5}}, [%x+16];
  ld.global.v4.f32 {{%f0, %f1, %f2, %f3}}, [%y];
  mma.sync.aligned.m16n8k16.row.col.f32.{0}.{0}.f32 {{%f0, %f1, %f2, %f3}}, {{%r0, %r1, %r2, %r3}},
    {{%r4, %r5}}, {{%f0, %f1, %f2, %f3}};
  st.global.v4.f32 [%y], {{%f0, %f1, %f2, %f3}};
  ret;)",
                                                               GetParam())));
  Memory memory;
  const Buffer<std::uint32_t> in(memory, fragments);
  const Buffer<float> out(memory, sums);
  const KernelCounters counters = run(program, "k", {{1}, {32}}, memory, 0, in.data(), out.data());
  EXPECT_EQ(counters.total.flops, 2 * 16 * 8 * 16);
  EXPECT_EQ(counters.total.tensor_instructions, 1);
  const std::vector<float> results = out.values();
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + (i >= 2 ? 8 : 0);
      const unsigned column = lane % 4 * 2 + i % 2;
      double expected = c[row * 8 + column];
      for (unsigned k = 0; k < 16; ++k) {
        expected += a[row * 16 + k] * b[k * 8 + column];
      }
      EXPECT_NEAR(results[lane * 4 + i], expected, 1e-5) << row << ' ' << column;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, PtxMatrixTest, testing::Values("f16", "bf16"),
                         [](const auto& type) { return std::string(type.param); });

TEST(PtxMatrixTest, HalfSums) {
  // A and B are all ones, C is all 0.5: every sum is 16.5.
  const std::vector<std::uint32_t> ones(32, 0x3c003c00);
  const auto results = apply<std::uint32_t>(
      "mov.b32 %t, 0x38003800; mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%d, %u},"
      "{%a, %a, %a, %a}, {%a, %a}, {%t, %t};",
      ones);
  for (const std::uint32_t result : results) {
    EXPECT_EQ(result, std::uint32_t{to_half(16.5)} << 16 | to_half(16.5));
  }
}

TEST(PtxMatrixTest, SumsComeOutInOtherRegisters) {
  // A is zero, so that the sums pass through: those of rows 0 to 7 and 8 to 15 change places.
  const auto results = apply<std::uint32_t>(
      "mov.b32 %u, 0; mov.b32 %t, 0x38003800; mov.b32 %d, 0x3c003c00;"
      "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%d, %t},"
      "{%u, %u, %u, %u}, {%a, %a}, {%t, %d}; sub.u32 %d, %d, %t;",
      std::vector<std::uint32_t>(32, 0x3c003c00));
  for (const std::uint32_t result : results) {
    EXPECT_EQ(result, 0x38003800U - 0x3c003c00U);
  }
  const auto singles = apply<std::uint32_t>(
      ".reg .f32 %f<4>; mov.b32 %u, 0; mov.f32 %f0, 0f00000000; mov.f32 %f1, 0f3F800000;"
      "mov.f32 %f2, 0f40000000; mov.f32 %f3, 0f40400000;"
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3},"
      "{%u, %u, %u, %u}, {%a, %a}, {%f3, %f2, %f1, %f0}; mov.b32 %d, %f3;",
      std::vector<std::uint32_t>(32, 0x3c003c00));
  for (const std::uint32_t result : singles) {
    EXPECT_EQ(result, 0U);
  }
}

/// Element (row, column) of matrix m is m * 64 + row * 8 + column.
TEST(PtxMatrixTest, LoadsMatrices) {
  for (const unsigned matrices : {1U, 2U, 4U}) {
    for (const bool transposed : {false, true}) {
      std::vector<std::string> registers;
      std::string store;
      for (unsigned m = 0; m < matrices; ++m) {
        registers.push_back(fmt::format("%r{}", m));
        store += fmt::format("  st.global.b32 [%y+{}], %r{};\n", 4 * m, m);
      }
      const Program program(one_kernel(
          {"in", "out"},
          fmt::format(R"(
  .reg .b32 %r<4>; .reg .b32 %i, %s, %v<4>; .reg .b64 %x, %y;
  .shared .align 16 .b8 tile[512];
  mov.u32 %i, %tid.x;
  mad.wide.u32 %x, %i, 16, %in;
  mad.wide.u32 %y, %i, 16, %out;
  shl.b32 %s, %i, 4;
  mov.u32 %v0, tile;
  add.u32 %s, %s, %v0;
  ld.global.v4.b32 {{%v0, %v1, %v2, %v3}}, [%x];
  st.shared.v4.b32 [%s], {{%v0, %v1, %v2, %v3}};
  bar.sync 0;
  ldmatrix.sync.aligned.m8n8.x{}{}.shared.b16 {{{}}}, [%s];
{}  ret;)",
                      matrices, transposed ? ".trans" : "", fmt::join(registers, ", "), store)));
      std::vector<std::uint16_t> elements(256);
      std::iota(elements.begin(), elements.end(), std::uint16_t{0});
      Memory memory;
      const Buffer<std::uint16_t> in(memory, elements);
      const Buffer<std::uint32_t> out(memory, std::vector<std::uint32_t>(128));
      const KernelCounters counters =
          run(program, "k", {{1}, {32}}, memory, 0, in.data(), out.data());
      // 32 rows of 16 bytes come in four wavefronts, and a matrix is read in one.
      EXPECT_EQ(counters.total.shared_wavefronts, 4 + matrices);
      EXPECT_EQ(counters.total.shared_bank_conflicts, 0);
      const std::vector<std::uint32_t> results = out.values();
      for (unsigned lane = 0; lane < 32; ++lane) {
        for (unsigned m = 0; m < matrices; ++m) {
          const unsigned row = lane / 4;
          const unsigned column = lane % 4 * 2;
          const std::uint32_t low = m * 64 + (transposed ? column * 8 + row : row * 8 + column);
          const std::uint32_t high = low + (transposed ? 8 : 1);
          EXPECT_EQ(results[lane * 4 + m], high << 16 | low);
        }
      }
    }
  }
}

}  // namespace
}  // namespace kvsieve::ptx
