// cp.async that reads less than it writes.

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "kernels/ptx/run_block.h"

namespace kvsieve::ptx {
namespace {

/// cp.async of 16 bytes a thread that reads the first `%t` of them, from `offset` bytes into the
/// thread's part of in.
std::string short_copies(std::string_view offset) {
  return fmt::format(R"(
  .shared .align 16 .b8 wide[512];
  mad.wide.u32 %x, %t, 16, %in;
  mov.u32 %w, wide;
  mad.lo.u32 %a, %t, 16, %w;
  cp.async.cg.shared.global [%a], [%x+{}], 16, %t;
  cp.async.wait_all;
  ld.shared.u32 %u, [%a+12];
  st.global.u32 [%y], %u;
  ret;)",
                     offset);
}

TEST(PtxShortAsyncCopiesTest, FillWithZeros) {
  // Word 3 of thread t's part of in is 4 t + 3, of which it reads t - 12 bytes; the rest is zero.
  const Program program(one_kernel({"in", "out"}, std::string(kDeclarations) + short_copies("0")));
  const unsigned threads = 17;
  Memory memory;
  std::vector<std::uint32_t> numbers(4 * threads);
  std::iota(numbers.begin(), numbers.end(), 0x01020304U);
  const Buffer<std::uint32_t> in(memory, numbers);
  const Buffer<std::uint32_t> out(memory, threads);
  run(program, "k", {{1}, {threads}}, memory, 0, in.data(), out.data());
  for (unsigned i = 0; i < threads; ++i) {
    const unsigned bytes = i < 12 ? 0 : i - 12;
    const std::uint32_t mask = bytes == 4 ? 0xffffffffU : (1U << 8 * bytes) - 1;
    EXPECT_EQ(out.values()[i], numbers[4 * i + 3] & mask);
  }
}

TEST(PtxShortAsyncCopiesTest, ReadNoMore) {
  // Thread 0 to 4 of 5 read 0 to 4 bytes; in ends 4 bytes into the last one's part.
  const Program program(one_kernel({"in", "out"}, std::string(kDeclarations) + short_copies("0")));
  Memory memory;
  const Buffer<std::uint32_t> in(memory, std::vector<std::uint32_t>(17));
  const Buffer<std::uint32_t> out(memory, 6);
  EXPECT_NO_THROW(run(program, "k", {{1}, {5}}, memory, 0, in.data(), out.data()));
  try {
    run(program, "k", {{1}, {6}}, memory, 0, in.data(), out.data());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("thread (5, 0, 0), PTX line"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("out of bounds: reads"), std::string::npos);
  }
}

TEST(PtxShortAsyncCopiesTest, AreAlignedAsWholeOnes) {
  // Nobody reads more than 4 bytes.
  for (const unsigned threads : {1U, 2U, 5U}) {
    EXPECT_NE(message_of(short_copies("4"), threads)
                  .find("thread (0, 0, 0), PTX line 24: misaligned: 16 bytes of global memory"),
              std::string::npos)
        << message_of(short_copies("4"), threads);
  }
}

}  // namespace
}  // namespace kvsieve::ptx
