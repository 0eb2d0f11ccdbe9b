// Micro-kernels whose counters follow by hand. All counters are compared: one that a comment does
// not derive is zero. Every kernel begins with `ld.param` of its parameters, a memory instruction
// each.

#include "exec/ptx/counters.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <string>

#include "kernels/ptx/run_ptx.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

/// Counters by name, without those that are zero.
std::map<std::string, std::int64_t> not_zero(const Counters& counters) {
  std::map<std::string, std::int64_t> result;
  for_each_counter(counters, [&](std::string_view name, std::int64_t value) {
    if (value != 0) {
      result[std::string(name)] = value;
    }
  });
  return result;
}

/// Runs a kernel with parameters in and out of 4 KiB each, all of which is written.
Counters count(std::string_view body, unsigned threads = 32, unsigned blocks = 1,
               MemoryKind kind = MemoryKind::kDevice) {
  const Program program(one_kernel({"in", "out"}, body));
  Memory memory;
  const std::vector<float> zeros(1024);
  const Buffer<float> in(memory, zeros, kind);
  const Buffer<float> out(memory, zeros, kind);
  const KernelCounters counters =
      run(program, "k", {{blocks}, {threads}}, memory, 0, in.data(), out.data());
  EXPECT_EQ(counters.launches, 1);
  EXPECT_EQ(counters.blocks, blocks);
  EXPECT_EQ(counters.threads, blocks * threads);
  const Counters& total = counters.total;
  EXPECT_EQ(total.instructions, total.integer_instructions + total.float_instructions +
                                    total.half_instructions + total.convert_instructions +
                                    total.tensor_instructions + total.warp_instructions +
                                    total.control_instructions + total.memory_instructions +
                                    total.special_instructions);
  return total;
}

void expect(const Counters& counters, const Counters& expected) {
  EXPECT_EQ(not_zero(counters), not_zero(expected));
}

constexpr std::string_view kIndex = R"(
  .reg .b32 %t, %u, %v, %w; .reg .b64 %x, %y; .reg .f32 %f, %g, %h, %e; .reg .pred %p;
  mov.u32 %t, %tid.x;
)";

std::string with_index(std::string_view body) {
  return std::string(kIndex) + std::string(body);
}

TEST(PtxCountersTest, CoalescedCopy) {
  // 2 ld.param, mov, 2 mad, ld, st, ret. A warp's 32 x 4 bytes are 4 sectors of 32 bytes.
  expect(count(with_index(R"(
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  ld.global.f32 %f, [%x];
  st.global.f32 [%y], %f;
  ret;)")),
         {.instructions = 8,
          .thread_instructions = 8 * 32,
          .integer_instructions = 3,
          .control_instructions = 1,
          .memory_instructions = 4,
          .global_load_requests = 1,
          .global_load_sectors = 4,
          .global_load_bytes = 128,
          .global_store_requests = 1,
          .global_store_sectors = 4,
          .global_store_bytes = 128});
}

TEST(PtxCountersTest, CopyOfThreeBlocksAndAHalfWarp) {
  // As above, three blocks of 48 threads: 6 warps, of which 3 have 16 lanes and touch 2 sectors.
  expect(count(with_index(R"(
  mov.u32 %u, %ctaid.x;
  mad.lo.u32 %t, %u, 64, %t;
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  ld.global.f32 %f, [%x];
  st.global.f32 [%y], %f;
  ret;)"),
               48, 3),
         {.instructions = 10 * 6,
          .thread_instructions = 10 * 3 * 48,
          .integer_instructions = 5 * 6,
          .control_instructions = 6,
          .memory_instructions = 4 * 6,
          .global_load_requests = 6,
          .global_load_sectors = 3 * (4 + 2),
          .global_load_bytes = 3 * 192,
          .global_store_requests = 6,
          .global_store_sectors = 3 * (4 + 2),
          .global_store_bytes = 3 * 192});
}

TEST(PtxCountersTest, StridedCopy) {
  // Every lane loads from a sector of its own: 32, where 4 could hold the 128 bytes.
  expect(count(with_index(R"(
  mad.wide.u32 %x, %t, 128, %in;
  mad.wide.u32 %y, %t, 4, %out;
  ld.global.f32 %f, [%x];
  st.global.f32 [%y], %f;
  ret;)")),
         {.instructions = 8,
          .thread_instructions = 8 * 32,
          .integer_instructions = 3,
          .control_instructions = 1,
          .memory_instructions = 4,
          .global_load_requests = 1,
          .global_load_sectors = 32,
          .global_load_bytes = 128,
          .global_store_requests = 1,
          .global_store_sectors = 4,
          .global_store_bytes = 128,
          .global_excess_sectors = 28});
}

TEST(PtxCountersTest, CopyThatBeginsWithinASector) {
  // Bytes 4 to 131 lie in 5 sectors.
  const Counters counters = count(with_index(R"(
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  ld.global.f32 %f, [%x+4];
  st.global.f32 [%y+4], %f;
  ret;)"));
  EXPECT_EQ(counters.global_load_sectors, 5);
  EXPECT_EQ(counters.global_store_sectors, 5);
  EXPECT_EQ(counters.global_load_bytes, 128);
  EXPECT_EQ(counters.global_excess_sectors, 2);
}

TEST(PtxCountersTest, VectorsOfSixteenBytes) {
  // 32 x 16 bytes are 16 sectors, in one request.
  expect(count(with_index(R"(
  mad.wide.u32 %x, %t, 16, %in;
  mad.wide.u32 %y, %t, 16, %out;
  ld.global.v4.f32 {%f, %g, %h, %e}, [%x];
  st.global.v4.f32 [%y], {%e, %h, %g, %f};
  ret;)")),
         {.instructions = 8,
          .thread_instructions = 8 * 32,
          .integer_instructions = 3,
          .control_instructions = 1,
          .memory_instructions = 4,
          .global_load_requests = 1,
          .global_load_sectors = 16,
          .global_load_bytes = 512,
          .global_store_requests = 1,
          .global_store_sectors = 16,
          .global_store_bytes = 512});
}

TEST(PtxCountersTest, Broadcast) {
  // All lanes ask for the same 4 bytes: one sector. Pairs of lanes: 16 x 4 bytes, two sectors.
  const Counters one = count(with_index("ld.global.f32 %f, [%in]; ret;"));
  EXPECT_EQ(one.global_load_sectors, 1);
  EXPECT_EQ(one.global_load_bytes, 4);
  EXPECT_EQ(one.global_excess_sectors, 0);
  const Counters pairs = count(
      with_index("shr.u32 %u, %t, 1; mad.wide.u32 %x, %u, 4, %in; ld.global.f32 %f, [%x]; ret;"));
  EXPECT_EQ(pairs.global_load_sectors, 2);
  EXPECT_EQ(pairs.global_load_bytes, 64);
}

TEST(PtxCountersTest, OrderOfLanesDoesNotMatter) {
  const Counters reversed = count(
      with_index("sub.u32 %u, 31, %t; mad.wide.u32 %x, %u, 4, %in; ld.global.f32 %f, [%x]; ret;"));
  EXPECT_EQ(reversed.global_load_sectors, 4);
  EXPECT_EQ(reversed.global_load_bytes, 128);
}

TEST(PtxCountersTest, PinnedMemoryIsToldApart) {
  const Counters counters = count(with_index(R"(
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  ld.global.f32 %f, [%x];
  st.global.f32 [%y], %f;
  ret;)"),
                                  32, 1, MemoryKind::kPinned);
  EXPECT_EQ(counters.pinned_load_bytes, 128);
  EXPECT_EQ(counters.pinned_store_bytes, 128);
  EXPECT_EQ(counters.global_load_bytes, 128);
}

TEST(PtxCountersTest, RequestsToBothKindsOfMemory) {
  // The first ten lanes go to one buffer, the others to the other, all in one request.
  constexpr std::string_view kBody = R"(
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  setp.lt.u32 %p, %t, 10;
  selp.b64 %x, %x, %y, %p;
  ld.global.f32 %f, [%x];
  st.global.f32 [%x], %f;
  ret;)";
  const Program program(one_kernel({"in", "out"}, with_index(kBody)));
  for (const bool pinned_first : {false, true}) {
    Memory memory;
    const std::vector<float> zeros(32);
    const MemoryKind kinds[] = {MemoryKind::kDevice, MemoryKind::kPinned};
    const Buffer<float> in(memory, zeros, kinds[pinned_first ? 1 : 0]);
    const Buffer<float> out(memory, zeros, kinds[pinned_first ? 0 : 1]);
    const Counters counters =
        run(program, "k", {{1}, {32}}, memory, 0, in.data(), out.data()).total;
    // Bytes 0 to 39 lie in 2 sectors, 40 to 127 in 3.
    EXPECT_EQ(counters.global_load_requests, 1);
    EXPECT_EQ(counters.global_load_sectors, 5);
    EXPECT_EQ(counters.global_load_bytes, 128);
    EXPECT_EQ(counters.pinned_load_bytes, pinned_first ? 40 : 88);
    EXPECT_EQ(counters.global_store_bytes, 128);
    EXPECT_EQ(counters.pinned_store_bytes, pinned_first ? 40 : 88);
  }
}

TEST(PtxCountersTest, ConstantMemoryHasNoSectors) {
  // 2 ld.param, mov, mad, mov, ld.const, mad, ld.const, ret.
  std::string text = one_kernel({"in", "out"}, with_index(R"(
  mad.wide.u32 %x, %t, 4, %in;
  mov.u64 %y, table;
  ld.const.f32 %f, [table+4];
  mad.wide.u32 %y, %t, 4, %y;
  ld.const.f32 %f, [%y];
  ret;)"));
  text.insert(text.find(".visible"), ".const .align 4 .b8 table[128];\n");
  const Program program(text);
  Memory memory;
  const Buffer<float> in(memory, 1);
  const KernelCounters counters = run(program, "k", {{1}, {32}}, memory, 0, in.data(), in.data());
  expect(counters.total, {.instructions = 9,
                          .thread_instructions = 9 * 32,
                          .integer_instructions = 4,
                          .control_instructions = 1,
                          .memory_instructions = 4});
  // Beyond its end it is as any other memory.
  EXPECT_THROW(run(program, "k", {{1}, {64}}, memory, 0, in.data(), in.data()), Error);
}

/// A store to shared memory at `stride` x the thread's number, by warps of 32 lanes.
Counters count_shared_store(std::string_view store, unsigned stride) {
  return count(with_index(fmt::format(R"(
  .shared .align 16 .b8 tile[8192];
  mov.u32 %v, tile;
  mad.lo.u32 %u, %t, {}, %v;
  mov.f32 %f, 0f3F800000;
  {}
  ret;)",
                                      stride, store)));
}

TEST(PtxCountersTest, SharedStoreWithoutConflict) {
  // 2 ld.param, 3 mov, mad, st, ret. 32 neighbouring words: one of each bank.
  expect(count_shared_store("st.shared.f32 [%u], %f;", 4), {.instructions = 8,
                                                            .thread_instructions = 8 * 32,
                                                            .integer_instructions = 4,
                                                            .control_instructions = 1,
                                                            .memory_instructions = 3,
                                                            .shared_requests = 1,
                                                            .shared_wavefronts = 1});
}

TEST(PtxCountersTest, BankConflicts) {
  // Lanes k words apart use 32 / k banks (k a power of two), each for k words.
  for (const unsigned words : {2U, 4U, 8U, 16U, 32U}) {
    const Counters counters = count_shared_store("st.shared.f32 [%u], %f;", 4 * words);
    EXPECT_EQ(counters.shared_wavefronts, words);
    EXPECT_EQ(counters.shared_bank_conflicts, words - 1) << words;
  }
  // 33 words apart: every lane has a bank of its own.
  EXPECT_EQ(count_shared_store("st.shared.f32 [%u], %f;", 132).shared_bank_conflicts, 0);
}

TEST(PtxCountersTest, WideSharedAccesses) {
  // 8 bytes: two halves of the warp, 16 x 2 words each: two wavefronts are the fewest.
  const Counters pairs = count_shared_store("st.shared.v2.f32 [%u], {%f, %f};", 8);
  EXPECT_EQ(pairs.shared_wavefronts, 2);
  EXPECT_EQ(pairs.shared_bank_conflicts, 0);
  // 16 bytes: four quarters, 8 x 4 words each.
  const Counters quads = count_shared_store("st.shared.v4.f32 [%u], {%f, %f, %f, %f};", 16);
  EXPECT_EQ(quads.shared_wavefronts, 4);
  EXPECT_EQ(quads.shared_bank_conflicts, 0);
  // 32 bytes apart, the lanes 4 to 7 of a quarter meet the banks of the lanes 0 to 3: two
  // wavefronts a quarter.
  const Counters apart = count_shared_store("st.shared.v4.f32 [%u], {%f, %f, %f, %f};", 32);
  EXPECT_EQ(apart.shared_wavefronts, 8);
  EXPECT_EQ(apart.shared_bank_conflicts, 4);
}

TEST(PtxCountersTest, BytesOfAWordAreOneAccess) {
  // Lanes next to each other store bytes of the same word; 32 bytes are 8 banks.
  const Counters counters = count_shared_store("st.shared.u8 [%u], 1;", 1);
  EXPECT_EQ(counters.shared_wavefronts, 1);
  EXPECT_EQ(counters.shared_bank_conflicts, 0);
}

TEST(PtxCountersTest, HalfAWarpEachWay) {
  // 2 ld.param, mov, setp for 32 lanes, bra, which counts the 16 lanes that take it; the other 16
  // go through add and bra, these through mul; ret for all again: 5 + 2 + 1 + 1 instructions.
  expect(count(with_index(R"(
  setp.lt.u32 %p, %t, 16;
  @%p bra low;
  add.u32 %u, %t, 1;
  bra join;
low:
  mul.lo.u32 %u, %t, 3;
join:
  ret;)")),
         {.instructions = 9,
          .thread_instructions = 4 * 32 + 16 + 16 * 2 + 16 + 32,
          .integer_instructions = 4,
          .control_instructions = 3,
          .memory_instructions = 2,
          .branches = 2,
          .divergent_branches = 1});
}

TEST(PtxCountersTest, LoopsOfDifferentLength) {
  // Lane t goes round t + 1 times. In round r (from 0) lanes r to 31 take add, setp and bra; the
  // branch back is taken by lanes r + 1 to 31, so it parts lanes but in the last round. Before it 2
  // ld.param and 2 mov, after it ret once for all.
  constexpr std::int64_t kLaneRounds = 32 * 33 / 2;
  // A branch counts the lanes that take it.
  constexpr std::int64_t kLanesBack = 31 * 32 / 2;
  expect(count(with_index(R"(
  mov.u32 %u, 0;
again:
  add.u32 %u, %u, 1;
  setp.le.u32 %p, %u, %t;
  @%p bra again;
  ret;)")),
         {.instructions = 4 + 3 * 32 + 1,
          .thread_instructions = 4 * 32 + 2 * kLaneRounds + kLanesBack + 32,
          .integer_instructions = 2 + 2 * 32,
          .control_instructions = 32 + 1,
          .memory_instructions = 2,
          .branches = 32,
          .divergent_branches = 31});
}

TEST(PtxCountersTest, Atomics) {
  // 16 lanes set words of shared memory to zero, then pairs of lanes add to them; 20 lanes add to
  // one word of global memory. 2 ld.param, mov, setp, shr, shl, mov, add, setp, then st for 16
  // lanes, bar.warp.sync, red, atom for 20 lanes, ret.
  expect(count(with_index(R"(
  .shared .align 4 .b8 tile[64];
  .reg .pred %q;
  setp.lt.u32 %p, %t, 20;
  shr.u32 %v, %t, 1;
  shl.b32 %v, %v, 2;
  mov.u32 %w, tile;
  add.u32 %v, %v, %w;
  and.b32 %u, %t, 1;
  setp.eq.u32 %q, %u, 0;
  @%q st.shared.u32 [%v], 0;
  bar.warp.sync -1;
  red.shared.add.u32 [%v], 1;
  @%p atom.global.add.f32 %f, [%out], 0f3F800000;
  ret;)")),
         {.instructions = 2 + 8 + 1 + 1 + 1 + 1 + 1,
          .thread_instructions = 10 * 32 + 16 + 32 + 32 + 20 + 32,
          .integer_instructions = 8,
          .control_instructions = 2,
          .memory_instructions = 5,
          .shared_requests = 2,
          .shared_wavefronts = 2,
          .global_atomics = 20,
          .shared_atomics = 32});
}

TEST(PtxCountersTest, Barriers) {
  // Three barriers of two warps.
  expect(count(with_index("bar.sync 0; bar.sync 1; barrier.sync 0, 64; ret;"), 64),
         {.instructions = 7 * 2,
          .thread_instructions = 7 * 64,
          .integer_instructions = 2,
          .control_instructions = 4 * 2,
          .memory_instructions = 2 * 2,
          .barriers = 6});
}

TEST(PtxCountersTest, AsyncCopies) {
  // A request loads 32 x 16 bytes and stores them in four wavefronts when it is issued; ld.shared
  // of 4 bytes 16 bytes apart meets 8 banks, 4 words each. 2 ld.param, mov, mad, mov, mad,
  // cp.async, commit, wait, ld, ret.
  expect(count(with_index(R"(
  .shared .align 16 .b8 tile[512];
  mad.wide.u32 %x, %t, 16, %in;
  mov.u32 %v, tile;
  mad.lo.u32 %u, %t, 16, %v;
  cp.async.cg.shared.global [%u], [%x], 16;
  cp.async.commit_group;
  cp.async.wait_group 0;
  ld.shared.f32 %f, [%u];
  ret;)")),
         {.instructions = 11,
          .thread_instructions = 11 * 32,
          .integer_instructions = 4,
          .control_instructions = 3,
          .memory_instructions = 4,
          .global_load_requests = 1,
          .global_load_sectors = 16,
          .global_load_bytes = 512,
          .shared_requests = 2,
          .shared_wavefronts = 4 + 4,
          .shared_bank_conflicts = 3,
          .async_copies = 1});
}

TEST(PtxCountersTest, AsyncCopyOfLessThanItWrites) {
  // Lanes below 8 read nothing and write zeros, the others read all 16 bytes: 24 x 16 bytes are 12
  // sectors.
  const Counters counters = count(with_index(R"(
  .shared .align 16 .b8 tile[512];
  mad.wide.u32 %x, %t, 16, %in;
  mov.u32 %v, tile;
  mad.lo.u32 %u, %t, 16, %v;
  setp.lt.u32 %p, %t, 8;
  selp.u32 %w, 0, 16, %p;
  cp.async.cg.shared.global [%u], [%x], 16, %w;
  cp.async.wait_all;
  ret;)"));
  EXPECT_EQ(counters.global_load_requests, 1);
  EXPECT_EQ(counters.global_load_sectors, 12);
  EXPECT_EQ(counters.global_load_bytes, 24 * 16);
  EXPECT_EQ(counters.shared_wavefronts, 4);
  EXPECT_EQ(counters.async_copies, 1);
}

TEST(PtxCountersTest, AsyncCopiesOfEveryLength) {
  // Lanes 0 to 16 read 0 to 16 bytes, lanes 17 to 31 0 to 14: 136 + 105. Of each two lanes, whose
  // parts are one sector, one at least reads. All of them write 16 bytes.
  const Counters counters = count(with_index(R"(
  .shared .align 16 .b8 tile[512];
  mad.wide.u32 %x, %t, 16, %in;
  mov.u32 %v, tile;
  mad.lo.u32 %u, %t, 16, %v;
  rem.u32 %w, %t, 17;
  cp.async.cg.shared.global [%u], [%x], 16, %w;
  cp.async.wait_all;
  ret;)"));
  EXPECT_EQ(counters.global_load_requests, 1);
  EXPECT_EQ(counters.global_load_sectors, 16);
  EXPECT_EQ(counters.global_load_bytes, 241);
  EXPECT_EQ(counters.global_excess_sectors, 16 - 8);
  EXPECT_EQ(counters.shared_wavefronts, 4);
  EXPECT_EQ(counters.async_copies, 1);
}

TEST(PtxCountersTest, AsyncCopiesFromOnePlace) {
  // All lanes read the beginning of in: lane 31 7 bytes, the others fewer. That is one sector.
  const Counters counters = count(with_index(R"(
  .shared .align 16 .b8 tile[512];
  mov.u32 %v, tile;
  mad.lo.u32 %u, %t, 16, %v;
  shr.u32 %w, %t, 2;
  cp.async.cg.shared.global [%u], [%in], 16, %w;
  cp.async.wait_all;
  ret;)"),
                                  32, 1, MemoryKind::kPinned);
  EXPECT_EQ(counters.global_load_requests, 1);
  EXPECT_EQ(counters.global_load_sectors, 1);
  EXPECT_EQ(counters.global_load_bytes, 7);
  EXPECT_EQ(counters.pinned_load_bytes, 7);
  EXPECT_EQ(counters.global_excess_sectors, 0);
}

TEST(PtxCountersTest, AsyncCopiesThatReadNothing) {
  const Counters counters = count(with_index(R"(
  .shared .align 16 .b8 tile[512];
  mov.u32 %v, tile;
  mad.lo.u32 %u, %t, 16, %v;
  cp.async.cg.shared.global [%u], [%in], 16, 0;
  cp.async.wait_all;
  ret;)"));
  EXPECT_EQ(counters.global_load_requests, 0);
  EXPECT_EQ(counters.global_load_bytes, 0);
  EXPECT_EQ(counters.shared_wavefronts, 4);
  EXPECT_EQ(counters.async_copies, 1);
}

TEST(PtxCountersTest, LocalMemory) {
  const Counters counters = count(with_index(R"(
  .local .align 8 .b8 depot[16];
  .reg .b64 %sp;
  mov.u64 %sp, depot;
  cvta.local.u64 %x, %sp;
  st.u32 [%x+4], %t;
  ld.local.u32 %u, [%sp+4];
  ret;)"));
  EXPECT_EQ(counters.local_requests, 2);
  EXPECT_EQ(counters.global_store_requests, 0);
}

TEST(PtxCountersTest, FloatingPointOperations) {
  // add 1, fma 2, div 1; max, ex2 and cvt none. fp16 pairs: fma 4. fp64: fma 2. Lanes below 16 do
  // the last fma alone.
  const Counters counters = count(with_index(R"(
  .reg .f64 %d;
  mov.f32 %f, 0f3F800000;
  add.f32 %g, %f, %f;
  fma.rn.f32 %g, %g, %f, %f;
  div.rn.f32 %g, %g, %f;
  max.f32 %g, %g, %f;
  ex2.approx.f32 %g, %g;
  cvt.f64.f32 %d, %g;
  fma.rn.f64 %d, %d, %d, %d;
  mov.b32 %u, 0x3c003c00;
  fma.rn.f16x2 %u, %u, %u, %u;
  setp.lt.u32 %p, %t, 16;
  @%p fma.rn.f32 %g, %g, %g, %g;
  ret;)"));
  EXPECT_EQ(counters.flops, 32 * (1 + 2 + 1 + 2 + 4) + 16 * 2);
  EXPECT_EQ(counters.float_instructions, 6);
  EXPECT_EQ(counters.half_instructions, 1);
  EXPECT_EQ(counters.special_instructions, 1);
  EXPECT_EQ(counters.convert_instructions, 1);
}

TEST(PtxCountersTest, LinesOfTheSource) {
  // Code inlined from another file counts there; code without a line only in the total.
  const std::string text = one_kernel({"in", "out"}, with_index(R"(
  .loc 1 10 3
  mad.wide.u32 %x, %t, 4, %in;
  .loc 1 11 5
  .loc 2 99 7, function_name $L__info_string0, inlined_at 1 11 5
  ld.global.f32 %f, [%x];
  .loc 1 10 9
  add.f32 %f, %f, %f;
  .loc 1 0 9
  ret;)")) + ".file 1 \"kernel.cu\"\n.file 2 \"/include/load.cuh\"\n";
  const Program program(text);
  Memory memory;
  const Buffer<float> in(memory, std::vector<float>(32));
  const KernelCounters counters = run(program, "k", {{1}, {32}}, memory, 0, in.data(), in.data());
  ASSERT_EQ(counters.lines.size(), 2U);
  expect(counters.lines.at({"kernel.cu", 10}), {.instructions = 2,
                                                .thread_instructions = 64,
                                                .integer_instructions = 1,
                                                .float_instructions = 1,
                                                .flops = 32});
  expect(counters.lines.at({"/include/load.cuh", 99}), {.instructions = 1,
                                                        .thread_instructions = 32,
                                                        .memory_instructions = 1,
                                                        .global_load_requests = 1,
                                                        .global_load_sectors = 4,
                                                        .global_load_bytes = 128});
  EXPECT_EQ(counters.total.instructions, 7);
  EXPECT_EQ(program.first_line("k"), (SourceLine{"kernel.cu", 10}));
}

TEST(PtxCountersTest, HeadersOfTheToolkitCountWhereTheyAreCalled) {
  for (const std::string header :
       {"/usr/local/cuda/include/cuda_pipeline_helpers.h",
        "/usr/local/cuda/include/sm_30_intrinsics.hpp",
        "/opt/cuda-13.0/targets/x86_64-linux/include/crt/math_functions.hpp",
        "/usr/local/cuda/bin/../targets/x86_64-linux/include/device_atomic_functions.hpp"}) {
    const Program program(one_kernel({}, R"(
  .loc 1 11 5
  .loc 2 20 7, function_name $L__info_string0, inlined_at 1 11 5
  .loc 3 99 7, function_name $L__info_string1, inlined_at 2 20 7
  bar.warp.sync -1;
  .loc 1 12 5
  ret;)") + ".file 1 \"kernel.cu\"\n.file 2 \"/x/include/load.cuh\"\n.file 3 \"" +
                          header + "\"\n");
    Memory memory;
    const KernelCounters counters = run(program, "k", {{1}, {32}}, memory, 0);
    EXPECT_EQ(counters.lines.size(), 2U) << header;
    EXPECT_TRUE(counters.lines.contains({"/x/include/load.cuh", 20})) << header;
  }
}

TEST(PtxCountersTest, AreTheSameInEveryOrder) {
  const Program program(one_kernel({"in", "out"}, with_index(R"(
  .shared .align 4 .b8 tile[512];
  mov.u32 %v, %ctaid.x;
  mad.lo.u32 %v, %v, 128, %t;
  mad.wide.u32 %x, %v, 4, %in;
  mad.wide.u32 %y, %v, 4, %out;
  ld.global.f32 %f, [%x];
  shl.b32 %u, %t, 2;
  mov.u32 %w, tile;
  add.u32 %u, %u, %w;
  st.shared.f32 [%u], %f;
  bar.sync 0;
  ld.shared.f32 %f, [%u];
  st.global.f32 [%y], %f;
  ret;)")));
  std::vector<std::map<std::string, std::int64_t>> results;
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    Memory memory;
    const Buffer<float> in(memory, std::vector<float>(1024));
    const Buffer<float> out(memory, 1024);
    results.push_back(
        not_zero(run(program, "k", {{8}, {128}}, memory, seed, in.data(), out.data()).total));
    EXPECT_EQ(results.back(), results.front());
  }
}

}  // namespace
}  // namespace kvsieve::ptx
