// How warps and lanes take turns and meet: barriers of parts of a block, waiting in loops, generic
// addresses, local memory.

#include <gtest/gtest.h>

#include <string>

#include "kernels/ptx/run_block.h"

namespace kvsieve::ptx {
namespace {

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

TEST(PtxBlockTest, LanesThatExitedCountAtBarriersOfWarps) {
  // The upper half of warp 1 exits before the rest of it comes to the barrier, or while it waits.
  constexpr std::string_view kBody = R"(
  setp.ge.u32 %p, %t, 48;
  @%p exit;
  st.shared.u32 [%a], %t;
  bar.sync 1, 64;
  xor.b32 %v, %t, 32;
  and.b32 %v, %v, 47;
  shl.b32 %v, %v, 2;
  add.u32 %v, %v, %w;
  ld.shared.u32 %u, [%v];
  st.global.u32 [%y], %u;
  ret;
leave:
  ret;)";
  std::string while_it_waits(kBody);
  while_it_waits.replace(while_it_waits.find("@%p exit"), 8, "@%p bra leave");
  for (const std::string& body : {std::string(kBody), while_it_waits}) {
    for (const std::uint64_t seed : {0, 1, 2, 3}) {
      const std::vector<std::uint32_t> out = run_block(body, 64, seed);
      for (unsigned i = 0; i < 48; ++i) {
        EXPECT_EQ(out[i], (i ^ 32U) & 47U);
      }
    }
  }
}

TEST(PtxBlockTest, LanesThatExitWhileOthersWait) {
  constexpr std::string_view kBody = R"(
  and.b32 %u, %t, 31;
  setp.ge.u32 %p, %u, 16;
  @%p bra leave;
  bar.sync 0;
  ret;
leave:
  ret;)";
  for (const unsigned threads : {32U, 64U}) {
    EXPECT_NE(message_of(kBody, threads).find("barrier that not all threads reach: "),
              std::string::npos)
        << message_of(kBody, threads);
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

TEST(PtxBlockTest, LocalMemoryIsUnwritten) {
  // Lane 7 does not write the second word, nor the third.
  constexpr std::string_view kBody = R"(
  .local .align 4 .b8 stack[12];
  .reg .b64 %l;
  setp.ne.u32 %p, %t, 7;
  st.local.u32 [stack], %t;
  @%p st.local.u32 [stack+4], %t;
  @%p st.local.u32 [stack+8], %t;
  ld.local.u32 %u, [stack];
  READ
  st.global.u32 [%y], %u;
  ret;)";
  const auto message = [&](std::string_view read) {
    std::string body(kBody);
    body.replace(body.find("READ"), 4, read);
    return message_of(body, 32);
  };
  EXPECT_EQ(message(""), "");
  EXPECT_EQ(message("@%p ld.local.u32 %u, [stack+4];"), "");
  EXPECT_NE(message("ld.local.u32 %u, [stack+4];")
                .find("thread (7, 0, 0), PTX line 27: uninitialised: reads 4 bytes of local "
                      "memory, 4 bytes into its 12, which nobody wrote"),
            std::string::npos)
      << message("ld.local.u32 %u, [stack+4];");
  EXPECT_NE(
      message("mov.u64 %l, stack; cvta.local.u64 %l, %l; ld.u8 %u, [%l+11];")
          .find("thread (7, 0, 0), PTX line 27: uninitialised: reads 1 bytes of local memory"),
      std::string::npos);
}

TEST(PtxBlockTest, LocalMemoryHoldsNothingOfEarlierBlocks) {
  // Block 0 writes, block 1 reads.
  const Program program(one_kernel({"out"}, R"(
  .reg .b32 %v, %c; .reg .pred %p; .local .align 4 .b8 stack[4];
  mov.u32 %c, %ctaid.x;
  setp.eq.u32 %p, %c, 0;
  @%p st.local.u32 [stack], 7;
  ld.local.u32 %v, [stack];
  st.global.u32 [%out], %v;
  ret;)"));
  Memory memory;
  const Buffer<std::uint32_t> out(memory, 1);
  EXPECT_NO_THROW(run(program, "k", {{1}, {1}}, memory, 0, out.data()));
  try {
    run(program, "k", {{2}, {1}}, memory, 0, out.data());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("block (1, 0, 0), thread (0, 0, 0)"),
              std::string::npos);
    EXPECT_NE(std::string(error.what()).find("uninitialised: reads 4 bytes of local memory"),
              std::string::npos);
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
