// How warps and lanes take turns and meet: barriers of parts of a block, waiting in loops, generic
// addresses, and what orders accesses without a barrier of the whole block.

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "kernels/ptx/run_ptx.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

constexpr std::string_view kDeclarations = R"(
  .reg .b32 %t, %u, %v, %w, %a; .reg .b64 %x, %y; .reg .pred %p, %q;
  .shared .align 4 .b8 tile[512];
  mov.u32 %t, %tid.x;
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  mov.u32 %w, tile;
  shl.b32 %a, %t, 2;
  add.u32 %a, %a, %w;
)";

/// What a block of `threads` leaves in `out`; in holds 0, 1, 2, ... Throws Error.
std::vector<std::uint32_t> run_block(std::string_view body, unsigned threads,
                                     std::uint64_t seed = 0) {
  const Program program(one_kernel({"in", "out"}, std::string(kDeclarations) + std::string(body)));
  Memory memory;
  std::vector<std::uint32_t> numbers(threads);
  std::iota(numbers.begin(), numbers.end(), 0U);
  const Buffer<std::uint32_t> in(memory, numbers);
  const Buffer<std::uint32_t> out(memory, std::vector<std::uint32_t>(threads));
  run(program, "k", {{1}, {threads}}, memory, seed, in.data(), out.data());
  return out.values();
}

std::string message_of(std::string_view body, unsigned threads) {
  try {
    run_block(body, threads);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PtxBlockTest, BarriersOfPartsOfABlock) {
  // Warps 0 and 1 meet at barrier 1, warps 2 and 3 at barrier 2: each reads what the other wrote.
  constexpr std::string_view kBody = R"(
  st.shared.u32 [%a], 0;
  bar.sync 0;
  st.shared.u32 [%a], %t;
  shr.u32 %u, %t, 6;
  add.u32 %u, %u, 1;
  bar.sync %u, 64;
  xor.b32 %v, %t, 32;
  shl.b32 %v, %v, 2;
  add.u32 %v, %v, %w;
  ld.shared.u32 %u, [%v];
  st.global.u32 [%y], %u;
  ret;)";
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    const std::vector<std::uint32_t> out = run_block(kBody, 128, seed);
    for (unsigned i = 0; i < 128; ++i) {
      EXPECT_EQ(out[i], i ^ 32U);
    }
  }
  // A read from a warp of the other part is not ordered by them.
  std::string other(kBody);
  other.replace(other.find("xor.b32 %v, %t, 32"), 18, "xor.b32 %v, %t, 64");
  EXPECT_NE(message_of(other, 128).find("race: writes 4 bytes of shared memory"),
            std::string::npos);
}

TEST(PtxBlockTest, ArrivingWithoutWaiting) {
  // Warp 0 writes and goes on, warp 1 waits for it and reads.
  const std::vector<std::uint32_t> out = run_block(R"(
  setp.ge.u32 %p, %t, 32;
  @%p bra consumer;
  st.shared.u32 [%a], %t;
  bar.arrive 3, 64;
  ret;
consumer:
  bar.sync 3, 64;
  ld.shared.u32 %u, [%a+-128];
  st.global.u32 [%y], %u;
  ret;)",
                                                   64);
  for (unsigned i = 32; i < 64; ++i) {
    EXPECT_EQ(out[i], i - 32);
  }
}

TEST(PtxBlockTest, VotesOfABlock) {
  const std::vector<std::uint32_t> out = run_block(R"(
  setp.ge.u32 %p, %t, 40;
  bar.red.popc.u32 %u, 0, %p;
  bar.red.or.pred %q, 0, %p;
  @%q add.u32 %u, %u, 100;
  bar.red.and.pred %q, 0, !%p;
  @%q add.u32 %u, %u, 1000;
  st.global.u32 [%y], %u;
  ret;)",
                                                   96);
  EXPECT_EQ(out, std::vector<std::uint32_t>(96, 56 + 100));
}

TEST(PtxBlockTest, WarpsWaitForEachOtherInLoops) {
  // Each warp but the last waits for the one after it to set its flag.
  constexpr std::string_view kBody = R"(
  st.shared.u32 [%a], 0;
  bar.sync 0;
  and.b32 %u, %t, 31;
  setp.ne.u32 %p, %u, 0;
  @%p bra done;
  setp.eq.u32 %q, %t, 64;
  @%q bra set;
wait:
  ld.volatile.shared.u32 %v, [%a+128];
  setp.eq.u32 %p, %v, 0;
  @%p bra wait;
set:
  atom.shared.exch.b32 %v, [%a], 1;
  st.global.u32 [%y], 7;
done:
  ret;)";
  for (const std::uint64_t seed : {0, 5}) {
    const std::vector<std::uint32_t> out = run_block(kBody, 96, seed);
    EXPECT_EQ(out[0] + out[32] + out[64], 21U);
  }
}

TEST(PtxBlockTest, LanesWaitForEachOtherInLoops) {
  // Lane 1 sets the flag further down, where lanes at lower instructions would go first for ever.
  const std::vector<std::uint32_t> out = run_block(R"(
  st.shared.u32 [%a], 0;
  bar.warp.sync -1;
  setp.eq.u32 %p, %t, 1;
  @%p bra set;
  setp.ne.u32 %p, %t, 0;
  @%p bra done;
wait:
  ld.volatile.shared.u32 %v, [tile+4];
  setp.eq.u32 %p, %v, 0;
  @%p bra wait;
  st.global.u32 [%y], 9;
  bra done;
set:
  atom.shared.exch.b32 %v, [%a], 1;
done:
  ret;)",
                                                   32);
  EXPECT_EQ(out[0], 9U);
}

TEST(PtxBlockTest, GenericAddresses) {
  const std::vector<std::uint32_t> out = run_block(R"(
  .local .align 4 .b8 depot[8];
  .reg .b64 %s, %l, %z; .reg .b32 %e;
  mov.u64 %s, tile;
  cvta.shared.u64 %s, %s;
  mad.wide.u32 %s, %t, 4, %s;
  mov.u64 %l, depot;
  cvta.local.u64 %l, %l;
  isspacep.shared %p, %s;
  isspacep.local %q, %l;
  selp.u32 %u, 1, 0, %p;
  selp.u32 %v, 2, 0, %q;
  add.u32 %u, %u, %v;
  isspacep.global %p, %in;
  @%p add.u32 %u, %u, 4;
  // Even lanes use shared memory, odd ones local memory, in one instruction.
  and.b32 %v, %t, 1;
  setp.eq.u32 %p, %v, 0;
  selp.b64 %z, %s, %l, %p;
  st.u32 [%z], %u;
  ld.u32 %e, [%z];
  st.u32 [%y], %e;
  ret;)",
                                                   32);
  EXPECT_EQ(out, std::vector<std::uint32_t>(32, 7));
}

TEST(PtxBlockTest, AtomicsOfAllKinds) {
  // 32 lanes in turn: the old values are 0, 1, 2, ..., and inc wraps behind 4.
  const std::vector<std::uint32_t> out = run_block(R"(
  .reg .b32 %o, %i;
  st.shared.u32 [%a], 0;
  bar.warp.sync -1;
  atom.shared.add.u32 %o, [tile], 1;
  atom.shared.inc.u32 %i, [tile+4], 4;
  atom.shared.cas.b32 %v, [tile+8], %t, 100;
  atom.shared.max.s32 %v, [tile+12], %t;
  atom.shared.exch.b32 %v, [tile+16], %t;
  mad.lo.u32 %o, %o, 100, %i;
  mad.lo.u32 %o, %v, 10000, %o;
  st.global.u32 [%y], %o;
  ret;)",
                                                   32);
  for (unsigned i = 0; i < 32; ++i) {
    // What the lane before exchanged; the first one finds 0.
    EXPECT_EQ(out[i], (i == 0 ? 0 : i - 1) * 10000 + i * 100 + i % 5);
  }
}

TEST(PtxBlockTest, TilesMeetByThemselves) {
  // Quarters of the warp exchange through shared memory, each with a mask of its own.
  constexpr std::string_view kBody = R"(
  shr.u32 %u, %t, 3;
  shl.b32 %u, %u, 3;
  mov.u32 %v, 255;
  shl.b32 %u, %v, %u;
  st.shared.u32 [%a], %t;
  bar.warp.sync %u;
  xor.b32 %v, %t, 7;
  shl.b32 %v, %v, 2;
  add.u32 %v, %v, %w;
  ld.shared.u32 %v, [%v];
  bar.warp.sync %u;
  st.shared.u32 [%a], %v;
  st.global.u32 [%y], %v;
  ret;)";
  const std::vector<std::uint32_t> out = run_block(kBody, 32);
  for (unsigned i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], i ^ 7U);
  }
  // Without the second meeting a lane overwrites what another of the tile may still read.
  std::string racy(kBody);
  racy.erase(racy.rfind("bar.warp.sync %u;"), 17);
  EXPECT_NE(message_of(racy, 32).find("race: writes 4 bytes of shared memory"), std::string::npos);
}

TEST(PtxBlockTest, ReadersOfSeveralLanesAreRemembered) {
  // Lanes 0 to 7 read a word, lane 8 meets with lane 0 alone and writes it.
  constexpr std::string_view kBody = R"(
  setp.eq.u32 %p, %t, 0;
  @%p st.shared.u32 [tile], 1;
  bar.warp.sync -1;
  setp.lt.u32 %p, %t, 8;
  @%p ld.shared.u32 %u, [tile];
  @%p st.global.u32 [%y], %u;
  setp.eq.u32 %p, %t, 0;
  setp.eq.or.u32 %q, %t, 8, %p;
  @%q bar.warp.sync 0x101;
  setp.eq.u32 %p, %t, 8;
  @%p st.shared.u32 [tile], 2;
  ret;)";
  EXPECT_NE(message_of(kBody, 32).find("thread (8, 0, 0), PTX line"), std::string::npos);
  EXPECT_NE(message_of(kBody, 32).find("that thread (0, 0, 0) read"), std::string::npos);
  std::string mended(kBody);
  mended.replace(mended.find("@%q bar.warp.sync 0x101"), 23, "bar.warp.sync -1");
  EXPECT_EQ(message_of(mended, 32), "");
}

TEST(PtxBlockTest, ReadsOfSeveralBlocksAreRemembered) {
  // Blocks 0 and 1 read a word, block 1 then writes it.
  const Program program(one_kernel({"in", "out"}, R"(
  .reg .b32 %u, %b; .reg .pred %p;
  mov.u32 %b, %ctaid.x;
  ld.global.u32 %u, [%in];
  setp.eq.u32 %p, %b, 1;
  @%p st.global.u32 [%in], %u;
  ret;)"));
  Memory memory;
  const Buffer<std::uint32_t> in(memory, std::vector<std::uint32_t>(1));
  try {
    run(program, "k", {{2}, {1}}, memory, 0, in.data(), in.data());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("that another block read"), std::string::npos)
        << error.what();
  }
  // One block alone may, and a launch is over before the next one.
  EXPECT_NO_THROW(run(program, "k", {{1}, {1}}, memory, 0, in.data(), in.data()));
}

TEST(PtxBlockTest, VolatileReadsAreRemembered) {
  // Thread 0 reads tile[0] volatile, and thread 32 then writes it plainly.
  constexpr std::string_view kBody = R"(
  st.shared.u32 [%a], 0;
  bar.sync 0;
  setp.eq.u32 %p, %t, 0;
  @%p ld.volatile.shared.u32 %v, [tile];
  setp.eq.u32 %q, %t, 32;
  @%q st.shared.u32 [tile], 5;
  ret;)";
  EXPECT_NE(
      message_of(kBody, 64).find(
          "thread (32, 0, 0), PTX line 25: race: writes 4 bytes of shared memory, 0 bytes into "
          "tile of 512 bytes, that thread (0, 0, 0) read, and nothing orders them"),
      std::string::npos)
      << message_of(kBody, 64);
  // Writes that are atomic themselves may come meanwhile.
  std::string atomic(kBody);
  atomic.replace(atomic.find("st.shared.u32 [tile]"), 20, "st.volatile.shared.u32 [tile]");
  EXPECT_EQ(message_of(atomic, 64), "");
}

TEST(PtxBlockTest, AddressesThatWrapAreOutOfBounds) {
  constexpr std::string_view kShared = R"(
  mov.b64 %x, 0;
  ld.shared.u32 %v, [%x+-4];
  ret;)";
  EXPECT_NE(message_of(kShared, 1)
                .find("out of bounds: reads 4 bytes of shared memory at "
                      "0xfffffffffffffffc, "),
            std::string::npos)
      << message_of(kShared, 1);
  // A warp whose addresses begin in the variable and go on beyond the last address.
  constexpr std::string_view kWarp = R"(
  mul.lo.u32 %u, %t, 4;
  cvt.u64.u32 %x, %u;
  sub.u64 %x, 0, %x;
  ld.shared.u32 %v, [%x];
  ret;)";
  EXPECT_NE(message_of(std::string("st.shared.u32 [%a], 0; bar.sync 0;") + std::string(kWarp), 32)
                .find("out of bounds: reads 4 bytes of shared memory at 0xfffffffffffffffc, "),
            std::string::npos);
  constexpr std::string_view kGlobal = R"(
  mov.b64 %x, 0;
  ld.global.u32 %v, [%x+-4];
  ret;)";
  EXPECT_NE(message_of(kGlobal, 1)
                .find("out of bounds: reads 4 bytes of global memory at "
                      "0xfffffffffffffffc, "),
            std::string::npos);
}

TEST(PtxBlockTest, LocalMemoryHoldsNothingOfEarlierBlocks) {
  const Program program(one_kernel({"out"}, R"(
  .reg .b32 %v, %c; .reg .b64 %x; .local .align 4 .b8 stack[4];
  ld.local.u32 %v, [stack];
  st.local.u32 [stack], 7;
  mov.u32 %c, %ctaid.x;
  mad.wide.u32 %x, %c, 4, %out;
  st.global.u32 [%x], %v;
  ret;)"));
  Memory memory;
  const Buffer<std::uint32_t> out(memory, 2);
  run(program, "k", {{2}, {1}}, memory, 0, out.data());
  EXPECT_EQ(out.values(), (std::vector<std::uint32_t>(2, 0xffffffffU)));
}

TEST(PtxBlockTest, NeighbouringBytesAreNoRace) {
  // Threads write bytes, half words and words next to each other, and read them back.
  const std::vector<std::uint32_t> out = run_block(R"(
  add.u32 %u, %t, %w;
  st.shared.u8 [%u], %t;
  bar.sync 0;
  xor.b32 %v, %t, 63;
  add.u32 %v, %v, %w;
  ld.shared.u8 %u, [%v];
  st.global.u32 [%y], %u;
  ret;)",
                                                   64);
  for (unsigned i = 0; i < 64; ++i) {
    EXPECT_EQ(out[i], i ^ 63U);
  }
}

TEST(PtxBlockTest, ThreadsThatExitEarlyAreFineWithoutBarriers) {
  EXPECT_EQ(message_of("setp.gt.u32 %p, %t, 40; @%p exit; st.global.u32 [%y], %t; ret;", 64), "");
}

TEST(PtxBlockTest, TrapsStop) {
  EXPECT_NE(
      message_of("setp.eq.u32 %p, %t, 9; @%p trap; ret;", 32).find("thread (9, 0, 0), PTX line"),
      std::string::npos);
}

}  // namespace
}  // namespace kvsieve::ptx
