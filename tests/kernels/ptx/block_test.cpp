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

TEST(PtxBlockTest, ArrivingOrdersWhatCameBeforeAlone) {
  // As above, but warp 0 writes after it arrived.
  constexpr std::string_view kWrites = R"(
  setp.ge.u32 %p, %t, 32;
  @%p bra consumer;
  bar.arrive 3, 64;
  st.shared.u32 [%a], %t;
  ret;
consumer:
  bar.sync 3, 64;
  ld.shared.u32 %u, [%a+-128];
  ret;)";
  EXPECT_NE(message_of(kWrites, 64).find("that thread (0, 0, 0) wrote, and nothing orders them"),
            std::string::npos)
      << message_of(kWrites, 64);
  // Warp 0 does not wait: it may write before warp 1, which has to arrive too, has read.
  constexpr std::string_view kDoesNotWait = R"(
  st.shared.u32 [%a], 0;
  bar.sync 0;
  setp.ge.u32 %p, %t, 32;
  @%p bra consumer;
  bar.arrive 3, 64;
  bar.sync 4, 32;
  st.shared.u32 [%a], %t;
  ret;
consumer:
  ld.shared.u32 %u, [%a+-128];
  bar.sync 3, 64;
  ret;)";
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    EXPECT_THROW(run_block(kDoesNotWait, 64, seed), Error) << seed;
  }
  // Nor does it order the lanes of its own warp.
  constexpr std::string_view kOwnWarp = R"(
  st.shared.u32 [%a], %t;
  bar.arrive 3, 64;
  xor.b32 %v, %t, 1;
  shl.b32 %v, %v, 2;
  add.u32 %v, %v, %w;
  ld.shared.u32 %u, [%v];
  ret;)";
  EXPECT_NE(message_of(kOwnWarp, 64).find("race: reads 4 bytes of shared memory"),
            std::string::npos);
}

TEST(PtxBlockTest, SeveralConsumersTellTheProducer) {
  // Warp 0 fills the tile four times; warps 1 to 3 read it when it is full, and arrive when they
  // have read.
  constexpr std::string_view kBody = R"(
  mov.u32 %u, 0;
  setp.ge.u32 %p, %t, 32;
  @%p bra consumer;
again:
  add.u32 %u, %u, 1;
  st.shared.u32 [%a], %u;
  bar.arrive 3, 128;
  bar.sync 4, 128;
  setp.lt.u32 %q, %u, 4;
  @%q bra again;
  st.global.u32 [%y], %u;
  ret;
consumer:
  and.b32 %v, %t, 31;
  xor.b32 %v, %v, 5;
  shl.b32 %v, %v, 2;
  add.u32 %w, %v, %w;
wait:
  bar.sync 3, 128;
  ld.shared.u32 %v, [%w];
  bar.arrive 4, 128;
  add.u32 %u, %u, %v;
  setp.lt.u32 %q, %v, 4;
  @%q bra wait;
  st.global.u32 [%y], %u;
  ret;)";
  std::vector<std::uint32_t> expected(128, 1 + 2 + 3 + 4);
  std::fill_n(expected.begin(), 32, 4U);
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    EXPECT_EQ(run_block(kBody, 128, seed), expected);
  }
  // Warp 3 arrives before it reads.
  std::string early(kBody);
  early.replace(early.find("  ld.shared.u32 %v, [%w];\n"), 26, R"(
  setp.ge.u32 %p, %t, 96;
  @%p bra late;
  ld.shared.u32 %v, [%w];
  bar.arrive 4, 128;
  bra sum;
late:
  bar.arrive 4, 128;
  ld.shared.u32 %v, [%w];
  bra sum;
sum:
)");
  early.erase(early.rfind("bar.arrive 4, 128;"), 18);
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    EXPECT_THROW(run_block(early, 128, seed), Error) << seed;
  }
}

TEST(PtxBlockTest, AtomicsOfSeveralWarpsAreOverAtTheirBarrier) {
  // Warps 0 and 1 add to a word and read it behind a barrier of theirs, while the others go on.
  for (const unsigned left : {64U, 48U}) {
    const std::vector<std::uint32_t> out = run_block(fmt::format(R"(
  st.shared.u32 [%a], 0;
  bar.sync 0;
  setp.ge.u32 %p, %t, {};
  @%p bra done;
  bar.sync 1, 64;
  red.shared.add.u32 [tile], 1;
  bar.sync 1, 64;
  ld.shared.u32 %u, [tile];
  st.global.u32 [%y], %u;
done:
  ret;)",
                                                                 left),
                                                     128);
    for (unsigned i = 0; i < left; ++i) {
      EXPECT_EQ(out[i], left);
    }
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

TEST(PtxBlockTest, BarriersDoNotOrderWhatExitedLanesDid) {
  // Lanes 16 to 31 of warp 1 write and exit; warp 0, or the rest of warp 1, reads.
  constexpr std::string_view kBody = R"(
  st.shared.u32 [%a], %t;
  setp.ge.u32 %p, %t, 48;
  @%p exit;
  bar.sync 1, 64;
  xor.b32 %v, %t, 32;
  shl.b32 %v, %v, 2;
  add.u32 %v, %v, %w;
  ld.shared.u32 %u, [%v];
  ret;)";
  EXPECT_NE(message_of(kBody, 64).find("that thread (48, 0, 0) wrote, and nothing orders them"),
            std::string::npos)
      << message_of(kBody, 64);
  std::string own_warp(kBody);
  own_warp.replace(own_warp.find("xor.b32 %v, %t, 32"), 18, "or.b32 %v, %t, 16;");
  EXPECT_NE(message_of(own_warp, 64).find("that thread (48, 0, 0) wrote, and nothing orders them"),
            std::string::npos)
      << message_of(own_warp, 64);
  // What they did before they met others of the warp comes before what these do.
  for (std::string met : {std::string(kBody), own_warp}) {
    met.insert(met.find("setp.ge"), "bar.warp.sync -1;\n  ");
    EXPECT_EQ(message_of(met, 64), "");
    // So does what they did before they arrived.
    met.replace(met.find("bar.warp.sync -1"), 16, "bar.sync 2, 64");
    EXPECT_EQ(message_of(met, 64), "");
  }
}

TEST(PtxBlockTest, WarpOperationsDoNotOrderMemory) {
  // Lanes exchange through shared memory, with an operation between in which all of them meet.
  constexpr std::string_view kBody = R"(
  st.shared.u32 [%a], %t;
  OPERATION
  xor.b32 %v, %t, 1;
  shl.b32 %v, %v, 2;
  add.u32 %v, %v, %w;
  ld.shared.u32 %u, [%v];
  st.global.u32 [%y], %u;
  ret;)";
  const auto message = [&](std::string_view operation) {
    std::string body(kBody);
    body.replace(body.find("OPERATION"), 9, operation);
    return message_of(body, 32);
  };
  for (const std::string_view operation :
       {"shfl.sync.bfly.b32 %u, %t, 1, 31, -1;",
        "setp.lt.u32 %p, %t, 9; vote.sync.any.pred %q, %p, -1;", "match.any.sync.b32 %u, %t, -1;",
        "redux.sync.add.u32 %u, %t, -1;", "elect.sync %u|%q, -1;"}) {
    EXPECT_NE(message(operation).find("that thread (1, 0, 0) wrote, and nothing orders them"),
              std::string::npos)
        << operation;
  }
  EXPECT_EQ(message("bar.warp.sync -1;"), "");
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

TEST(PtxBlockTest, ShortAsyncCopies) {
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

TEST(PtxBlockTest, ShortAsyncCopiesReadNoMore) {
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

TEST(PtxBlockTest, ShortAsyncCopiesAreAlignedAsWholeOnes) {
  // Nobody reads more than 4 bytes.
  for (const unsigned threads : {1U, 2U, 5U}) {
    EXPECT_NE(message_of(short_copies("4"), threads)
                  .find("thread (0, 0, 0), PTX line 24: misaligned: 16 bytes of global memory"),
              std::string::npos)
        << message_of(short_copies("4"), threads);
  }
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
