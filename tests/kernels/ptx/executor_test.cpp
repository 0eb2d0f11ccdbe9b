#include "exec/ptx/executor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kernels/ptx/run_ptx.h"

namespace kvsieve::ptx {
namespace {

TEST(PtxExecutorTest, RunsAllBlocksInEveryOrder) {
  const Program program(one_kernel({"in", "out"}, R"(
  .reg .b32 %r<6>; .reg .b64 %rd<6>;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  mul.wide.u32 %rd1, %r4, 4;
  add.s64 %rd2, %in, %rd1;
  add.s64 %rd3, %out, %rd1;
  ld.global.u32 %r5, [%rd2];
  add.s32 %r5, %r5, 1;
  st.global.u32 [%rd3], %r5;
  ret;)"));
  for (const std::uint64_t seed : {0, 1, 2}) {
    Memory memory;
    std::vector<int> numbers(7 * 96);
    std::iota(numbers.begin(), numbers.end(), 0);
    const Buffer<int> in(memory, numbers);
    const Buffer<int> out(memory, numbers.size());
    const KernelCounters counters =
        run(program, "k", {{7}, {96}}, memory, seed, in.data(), out.data());
    for (int& number : numbers) {
      ++number;
    }
    EXPECT_EQ(out.values(), numbers);
    EXPECT_EQ(counters.blocks, 7);
    EXPECT_EQ(counters.threads, 7 * 96);
    EXPECT_EQ(counters.total.global_load_sectors, 7 * 96 * 4 / 32);
    EXPECT_EQ(counters.total.global_excess_sectors, 0);
  }
}

}  // namespace
}  // namespace kvsieve::ptx
