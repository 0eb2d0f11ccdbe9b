#include "exec/ptx/race_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/ptx/run_block.h"

namespace kvsieve::ptx {
namespace {

TEST(PtxRaceCheckTest, ArrivingOrdersWhatCameBeforeAlone) {
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

TEST(PtxRaceCheckTest, SeveralConsumersTellTheProducer) {
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

TEST(PtxRaceCheckTest, AtomicsOfSeveralWarpsAreOverAtTheirBarrier) {
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

TEST(PtxRaceCheckTest, BarriersDoNotOrderWhatExitedLanesDid) {
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

TEST(PtxRaceCheckTest, WarpOperationsDoNotOrderMemory) {
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

TEST(PtxRaceCheckTest, TilesMeetByThemselves) {
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

TEST(PtxRaceCheckTest, ReadersOfSeveralLanesAreRemembered) {
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

TEST(PtxRaceCheckTest, ReadsOfSeveralBlocksAreRemembered) {
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

TEST(PtxRaceCheckTest, VolatileReadsAreRemembered) {
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

TEST(PtxRaceCheckTest, NeighbouringBytesAreNoRace) {
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

}  // namespace
}  // namespace kvsieve::ptx
