#include "kvsieve/kernels/cache_compaction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kernels/adakv/cache_fixtures.h"
#include "kernels/adakv/sparse_memory.h"
#include "kernels/attention/random_heads.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

const std::vector<CompactionCase>& cases() {
  static const std::vector<CompactionCase> all =
      compaction_cases({1, 32, 64, 80, 96, 128, 256},
                       {1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4097});
  return all;
}

HostCache compacted(const CompactionProblem& problem, std::int64_t slack) {
  HostCache cache(problem.item, plus(problem.budgets(), slack));
  compact_cache(problem.dense(), problem.kept(), cache.view());
  return cache;
}

template <class Number>
std::vector<std::int64_t> widened(const std::vector<Number>& numbers) {
  return {numbers.begin(), numbers.end()};
}

/// Row i of every segment, as tokens to append.
NewTokens one_of(const CompactionProblem& problem, std::int64_t i, Bytes& keys, Bytes& values) {
  keys.clear();
  values.clear();
  const std::int64_t bytes = problem.item.row_bytes();
  for (std::int64_t s = 0; s < problem.item.segments; ++s) {
    const std::int64_t at = (s * problem.item.appended + i) * bytes;
    keys.insert(keys.end(), problem.new_keys.begin() + at, problem.new_keys.begin() + at + bytes);
    values.insert(values.end(), problem.new_values.begin() + at,
                  problem.new_values.begin() + at + bytes);
  }
  return {keys.data(), values.data(), 1};
}

std::int64_t differing(const Bytes& a, const Bytes& b) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    count += a[i] != b[i] ? 1 : 0;
  }
  return count;
}

TEST(RaggedLayout, T27_OffsetsAscendAndHoldBudgetsAndSlack) {
  for (const std::int64_t slack : {0, 1, 7, 64}) {
    for (const std::int64_t alignment : {1, 3, 16}) {
      const std::vector<std::int64_t> budgets = {0, 5, 0, 16, 17, 1};
      const RaggedLayout layout = make_ragged_layout(budgets, slack, alignment);
      ASSERT_EQ(layout.segments(), 6);
      EXPECT_EQ(layout.offsets[0], 0);
      EXPECT_EQ(layout.rows(), layout.offsets[6]);
      EXPECT_EQ(widened(layout.lengths), budgets);
      for (std::size_t s = 0; s < 6; ++s) {
        const std::int64_t room = layout.offsets[s + 1] - layout.offsets[s];
        EXPECT_EQ(layout.offsets[s] % alignment, 0);
        EXPECT_GE(room, budgets[s] + slack);
        EXPECT_LT(room, budgets[s] + slack + alignment);
      }
    }
  }
  EXPECT_EQ(make_ragged_layout({}).rows(), 0);
  EXPECT_EQ(RaggedLayout{}.rows(), 0);
}

TEST(RaggedLayout, RefusesWhatCannotBe) {
  const auto refused = [](std::vector<std::int64_t> budgets, std::int64_t slack,
                          std::int64_t alignment, const char* part) {
    return fails_with(ErrorKind::kUsage, part,
                      [&] { (void)make_ragged_layout(budgets, slack, alignment); });
  };
  EXPECT_TRUE(refused({1, -1}, 0, 1, "segment 1 has a budget of -1"));
  EXPECT_TRUE(refused({2'147'483'647}, 1, 1, "segment 0"));
  EXPECT_TRUE(refused({1}, -1, 1, "slack -1"));
  EXPECT_TRUE(refused({1}, 0, 0, "alignment 0"));
  EXPECT_EQ(make_ragged_layout(std::vector<std::int64_t>{2'147'483'646}, 1).rows(), 2'147'483'647);
}

TEST(CacheCompaction, T28_T30_KeepsExactlyTheListedRowsInTheirOrder) {
  ASSERT_LE(cases().size(), 150U);
  for (const CompactionCase& item : cases()) {
    SCOPED_TRACE(item.name());
    const CompactionProblem problem(item);
    HostCache cache = compacted(problem, 2);
    EXPECT_EQ(widened(cache.lengths), problem.budgets());
    ASSERT_TRUE(cache.contents() == problem.compacted());
  }
}

TEST(CacheCompaction, T28_WindowRowsStandVerbatimAtEachSegmentsEnd) {
  const CompactionProblem problem({.segments = 4, .head_dim = 80, .tokens = 300});
  const CacheContents contents = compacted(problem, 0).contents();
  const std::int64_t window = kWindowTokens * problem.item.row_bytes();
  for (std::int64_t s = 0; s < 4; ++s) {
    const Bytes& rows = contents.keys[static_cast<std::size_t>(s)];
    const auto tail =
        problem.keys.begin() + (s + 1) * problem.item.tokens * problem.item.row_bytes() - window;
    EXPECT_TRUE(std::equal(rows.end() - window, rows.end(), tail, tail + window));
  }
}

TEST(CacheCompaction, LeavesSlackUntouched) {
  for (const CompactionCase& item : cases()) {
    if (item.page_rows != 0) {
      continue;
    }
    SCOPED_TRACE(item.name());
    const HostCache cache = compacted(CompactionProblem(item), 3);
    for (std::size_t s = 0; s < cache.lengths.size(); ++s) {
      const auto first = (cache.offsets[s] + cache.lengths[s]) * item.row_bytes();
      const auto last = cache.offsets[s + 1] * item.row_bytes();
      EXPECT_TRUE(std::all_of(cache.keys.begin() + first, cache.keys.begin() + last,
                              [](std::byte byte) { return byte == HostCache::kUntouched; }));
    }
  }
}

TEST(CacheCompaction, T29_AppendsBehindEachSegmentAtOnceAsOneByOne) {
  for (const CompactionCase& item : cases()) {
    SCOPED_TRACE(item.name());
    const CompactionProblem problem(item);
    HostCache at_once = compacted(problem, item.appended);
    HostCache one_by_one = at_once;
    append_tokens(problem.new_tokens(), at_once.view());
    Bytes keys;
    Bytes values;
    for (std::int64_t i = 0; i < item.appended; ++i) {
      append_tokens(one_of(problem, i, keys, values), one_by_one.view());
    }
    ASSERT_TRUE(at_once.contents() == problem.appended_to(problem.compacted()));
    EXPECT_TRUE(one_by_one.keys == at_once.keys);
    EXPECT_TRUE(one_by_one.values == at_once.values);
    // The metadata by increments equal those of a layout built for the longer segments.
    EXPECT_EQ(one_by_one.lengths, at_once.lengths);
    EXPECT_EQ(at_once.lengths, make_ragged_layout(plus(problem.budgets(), item.appended)).lengths);
  }
}

TEST(CacheCompaction, T32_RemovingUndoesAppending) {
  for (const CompactionCase& item : cases()) {
    SCOPED_TRACE(item.name());
    const CompactionProblem problem(item);
    HostCache cache = compacted(problem, item.appended);
    append_tokens(problem.new_tokens(), cache.view());
    remove_last_tokens(item.appended, cache.view());
    ASSERT_TRUE(cache.contents() == problem.compacted());
    // What was removed can be replaced.
    const CompactionProblem other(item, 99);
    append_tokens(other.new_tokens(), cache.view());
    ASSERT_TRUE(cache.contents() == other.appended_to(problem.compacted()));
  }
}

TEST(CacheCompaction, T36_AppendingWritesTheNewRowsAndNothingElse) {
  for (const CompactionCase& item : cases()) {
    SCOPED_TRACE(item.name());
    const CompactionProblem problem(item);
    HostCache cache = compacted(problem, item.appended);
    // Complements of the bytes that will be written, so that each written byte changes.
    CompactionProblem inverse = problem;
    for (Bytes* bytes : {&inverse.new_keys, &inverse.new_values}) {
      for (std::byte& byte : *bytes) {
        byte = ~byte;
      }
    }
    append_tokens(inverse.new_tokens(), cache.view());
    remove_last_tokens(item.appended, cache.view());
    const HostCache before = cache;
    append_tokens(problem.new_tokens(), cache.view());
    const Work work = append_tokens_work(item.segments, item.appended, item.head_dim,
                                         static_cast<std::int64_t>(traces::size_of(item.dtype)));
    EXPECT_EQ(differing(before.keys, cache.keys) + differing(before.values, cache.values),
              work.bytes_written - item.segments * 4);
    remove_last_tokens(item.appended, cache.view());
    EXPECT_TRUE(cache.contents() == before.contents());
    EXPECT_EQ(cache.pages, before.pages);
    EXPECT_EQ(cache.offsets, before.offsets);
  }
}

TEST(CacheCompaction, AppendsAcrossAPageEdge) {
  const CompactionCase item{
      .segments = 3, .tokens = 40, .kept = Kept::kWindow, .page_rows = 4, .appended = 1};
  CompactionProblem problem(item);
  HostCache cache = compacted(problem, 9);
  ASSERT_EQ(cache.lengths, std::vector<std::int32_t>(3, kWindowTokens));
  CacheContents expected = problem.compacted();
  for (std::uint32_t token = 0; token < 9; ++token) {
    const CompactionProblem next(item, token + 5);
    append_tokens(next.new_tokens(), cache.view());
    expected = next.appended_to(expected);
    ASSERT_TRUE(cache.contents() == expected) << token;
  }
}

TEST(CacheCompaction, RefusesAppendingWithoutRoomAndChangesNothing) {
  for (const std::int64_t page_rows : {0, 1, 4}) {
    SCOPED_TRACE(page_rows);
    const CompactionCase item{
        .segments = 3, .tokens = 20, .kept = Kept::kAll, .page_rows = page_rows, .appended = 2};
    const CompactionProblem problem(item);
    HostCache cache(item, {24, 20, 24});
    compact_cache(problem.dense(), problem.kept(), cache.view());
    const HostCache before = cache;
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "append_tokens: segment 1 has no room for 22 rows",
                           [&] { append_tokens(problem.new_tokens(), cache.view()); }));
    EXPECT_TRUE(cache.keys == before.keys && cache.values == before.values);
    EXPECT_EQ(cache.lengths, before.lengths);
  }
}

TEST(CacheCompaction, RefusesWhatDoesNotFitAndChangesNothing) {
  const CompactionCase item{.segments = 3, .tokens = 20, .kept = Kept::kAll};
  const CompactionProblem problem(item);
  HostCache small(item, {20, 20, 19});
  const HostCache before = small;
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "compact_cache: segment 2 has no room for 20 rows",
                         [&] { compact_cache(problem.dense(), problem.kept(), small.view()); }));
  HostCache full = compacted(problem, 0);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "regrow_cache: segment 2 has no room for 20 rows",
                         [&] { regrow_cache(full.view(), small.view()); }));
  EXPECT_TRUE(small.keys == before.keys);
  EXPECT_EQ(small.lengths, before.lengths);

  DenseCacheView dense = problem.dense();
  dense.head_dim = 32;
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "d = 32 do not fit a cache of 3 segments of F16",
                         [&] { compact_cache(dense, problem.kept(), full.view()); }));
  RaggedCacheView other = small.view();
  other.dtype = traces::DType::kBF16;
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "BF16", [&] { regrow_cache(full.view(), other); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "append_tokens: -1 tokens", [&] {
    append_tokens({nullptr, nullptr, -1}, full.view());
  }));
}

TEST(CacheCompaction, RefusesTokensThatDoNotExist) {
  CompactionProblem problem({.segments = 2, .tokens = 20});
  HostCache cache(problem.item, problem.budgets());
  for (const std::int32_t token : {-1, 20}) {
    problem.kept_tokens.back() = token;
    EXPECT_TRUE(fails_with(ErrorKind::kInternal, "segment 1 keeps token " + std::to_string(token),
                           [&] { compact_cache(problem.dense(), problem.kept(), cache.view()); }));
  }
}

TEST(CacheCompaction, RefusesRemovingMoreThanTheShortestSegmentHas) {
  const CompactionProblem problem({.segments = 3, .tokens = 20, .kept = Kept::kOneLong});
  HostCache cache = compacted(problem, 0);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "cannot take 2 tokens off the 1 of segment 0",
                         [&] { remove_last_tokens(2, cache.view()); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "cannot take -1 tokens",
                         [&] { remove_last_tokens(-1, cache.view()); }));
  EXPECT_EQ(widened(cache.lengths), problem.budgets());
  remove_last_tokens(1, cache.view());
  EXPECT_EQ(cache.lengths, (std::vector<std::int32_t>{0, 19, 0}));
}

TEST(CacheCompaction, RegrowingKeepsContentsInAnyLayout) {
  for (const CompactionCase& item : cases()) {
    const CompactionProblem problem(item);
    HostCache from = compacted(problem, item.appended);
    append_tokens(problem.new_tokens(), from.view());
    remove_last_tokens(item.appended, from.view());
    for (const std::int64_t page_rows : {0, 8}) {
      CompactionCase target = item;
      target.page_rows = page_rows;
      SCOPED_TRACE(item.name() + " to " + target.name());
      HostCache to(target, plus(problem.budgets(), item.appended));
      HostCache compacted_there = to;
      regrow_cache(from.view(), to.view());
      compact_cache(problem.dense(), problem.kept(), compacted_there.view());
      ASSERT_TRUE(to.contents() == problem.compacted());
      // Slack is left alone, whatever lies in that of the smaller cache.
      ASSERT_TRUE(to.keys == compacted_there.keys && to.values == compacted_there.values);
      append_tokens(problem.new_tokens(), to.view());
      ASSERT_TRUE(to.contents() == problem.appended_to(problem.compacted()));
    }
  }
}

TEST(CacheCompaction, SlackIsAShareOfTheMeanLengthButNotLessThanTheMinimum) {
  EXPECT_EQ(slack_for({}), kMinimumSlack);
  EXPECT_EQ(slack_for(std::vector<std::int32_t>{0, 0}), kMinimumSlack);
  EXPECT_EQ(slack_for(std::vector<std::int32_t>{512, 512}), 64);
  EXPECT_EQ(slack_for(std::vector<std::int32_t>{513, 512}), 65);
  EXPECT_EQ(slack_for(std::vector<std::int32_t>{0, 8000}), 500);
  EXPECT_EQ(slack_for(std::vector<std::int32_t>(3, 2'147'483'647)), 268'435'456);
  const RaggedLayout layout = regrown_layout(std::vector<std::int32_t>{0, 8000}, 16);
  EXPECT_EQ(layout.offsets, (std::vector<std::int64_t>{0, 512, 512 + 8512}));
  EXPECT_EQ(layout.lengths, (std::vector<std::int32_t>{0, 8000}));
}

/// Decodes `steps` tokens and returns the bytes moved, by the work functions.
struct DecodeTraffic {
  std::int64_t in_place = 0;
  std::int64_t regrown_rows = 0;
  std::int64_t rewritten = 0;
};

std::int64_t moved(const Work& work) {
  return work.bytes_read + work.bytes_written;
}

DecodeTraffic decode_traffic(std::int64_t segments, std::int64_t budget, std::int64_t d,
                             std::int64_t steps) {
  DecodeTraffic traffic;
  std::int64_t room = make_ragged_layout(std::vector<std::int64_t>{budget}, kMinimumSlack).rows();
  std::int64_t length = budget;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (length == room) {
      const std::vector<std::int32_t> lengths(static_cast<std::size_t>(segments),
                                              static_cast<std::int32_t>(length));
      room = length + slack_for(lengths);
      traffic.in_place += moved(regrow_cache_work(segments * length, segments, d, 2));
      traffic.regrown_rows += segments * length;
    }
    traffic.in_place += moved(append_tokens_work(segments, 1, d, 2));
    traffic.rewritten += moved(rewrite_append_work(segments * length, segments, 1, d, 2));
    ++length;
  }
  return traffic;
}

TEST(CacheCompaction, T36_AppendingInPlaceMovesAFractionOfWhatRewritingMoves) {
  // Llama-3.1-8B, 1024 tokens a head: the rewrite moves 8 MiB a layer and token (specification of
  // the published kernel), the append 8 KiB.
  constexpr std::int64_t kRows = 8 * 1024;
  static_assert(rewrite_append_work(kRows, 8, 0, 128, 2).bytes_read - 17 * 4 - 9 * 4 ==
                4 * 1024 * 1024);
  static_assert(append_tokens_work(8, 1, 128, 2).bytes_written == 8 * 512 + 8 * 4);
  std::printf("%9s %9s %7s %16s %16s %8s\n", "segments", "budget", "steps", "in place, bytes",
              "rewritten, bytes", "ratio");
  for (const std::int64_t segments : {3, 8, 32}) {
    for (const std::int64_t budget : {128, 1024, 8192}) {
      constexpr std::int64_t kSteps = 4096;
      const DecodeTraffic traffic = decode_traffic(segments, budget, 128, kSteps);
      const double ratio =
          static_cast<double>(traffic.rewritten) / static_cast<double>(traffic.in_place);
      std::printf("%9ld %9ld %7ld %16ld %16ld %8.1f\n", segments, budget, kSteps, traffic.in_place,
                  traffic.rewritten, ratio);
      EXPECT_GT(ratio, 100.0);
      // slack_for's promise; the first regrow comes after less than its share of the slack.
      EXPECT_LE(traffic.regrown_rows, (kSlackDivisor + 1) * segments * kSteps + segments * budget);
    }
  }
}

TEST(CacheCompaction, GrowsThroughALongDecode) {
  CompactionCase item{.segments = 3, .head_dim = 32, .tokens = 50, .appended = 1};
  const CompactionProblem problem(item);
  HostCache cache = compacted(problem, 0);
  CacheContents expected = problem.compacted();
  int regrown = 0;
  for (std::uint32_t step = 0; step < 300; ++step) {
    const CompactionProblem next(item, step);
    if (!has_room(cache.view(), 0, cache.lengths[0] + 1)) {
      const RaggedLayout layout = regrown_layout(cache.lengths);
      std::vector<std::int64_t> rooms(3);
      std::adjacent_difference(layout.offsets.begin() + 1, layout.offsets.end(), rooms.begin());
      HostCache larger(item, rooms);
      regrow_cache(cache.view(), larger.view());
      cache = std::move(larger);
      ++regrown;
    }
    append_tokens(next.new_tokens(), cache.view());
    expected = next.appended_to(expected);
  }
  EXPECT_TRUE(cache.contents() == expected);
  EXPECT_EQ(regrown, 5);  // 64 rows of slack each time
}

TEST(CacheCompaction, T31_OffsetsAreOf64Bits) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40U;
  constexpr DenseCacheView kDense{.segment_stride = kHuge, .token_stride = 1 << 20U};
  static_assert(element_of(kDense, 3, 2'000'000'000) ==
                3 * kHuge + 2'000'000'000 * (std::int64_t{1} << 20U));
  const std::vector<std::int64_t> offsets = {0, kHuge, 2 * kHuge};
  const RaggedCacheView contiguous{.head_dim = 128, .segments = 2, .offsets = offsets.data()};
  EXPECT_EQ(row_of(contiguous, 1, 2'000'000'000), kHuge + 2'000'000'000);
  EXPECT_TRUE(has_room(contiguous, 1, kHuge));
  EXPECT_FALSE(has_room(contiguous, 1, kHuge + 1));
  const std::vector<std::int32_t> pages = {-1, -1, -1, 2'000'000'000};
  const RaggedCacheView paged{
      .segments = 2, .pages = pages.data(), .pages_per_segment = 2, .page_rows = 256};
  EXPECT_EQ(row_of(paged, 1, 300), 2'000'000'000LL * 256 + 44);
}

TEST(CacheCompaction, T31_CopiesRowsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31U) + 4096;  // elements
  constexpr std::int64_t kDim = 64;
  constexpr std::size_t kBytes = (kFar + 64 * kDim) * 2;
  const SparseMemory source(kBytes);
  const SparseMemory target(kBytes);
  if (!source.mapped() || !target.mapped()) {
    GTEST_SKIP() << "this machine has no 8 GiB of address space left";
  }
  const Bytes rows = random_bytes(3 * kDim * 2, 1);
  const std::int64_t row = kDim * 2;
  std::memcpy(source.data() + kFar * 2, rows.data(), static_cast<std::size_t>(2 * row));

  // Segment 1 lies beyond 2^31 elements in the dense cache and in the ragged one.
  const DenseCacheView dense{.keys = source.data(),
                             .values = source.data(),
                             .head_dim = kDim,
                             .segments = 2,
                             .tokens = 2,
                             .segment_stride = kFar,
                             .token_stride = kDim};
  const std::vector<std::int32_t> tokens = {0, 1};
  const std::vector<std::int64_t> kept_offsets = {0, 0, 2};
  const std::vector<std::int64_t> offsets = {0, kFar / kDim, kFar / kDim + 8};
  std::vector<std::int32_t> lengths(2);
  // K and V share memory here: both copies write the same bytes.
  const RaggedCacheView cache{.keys = target.data(),
                              .values = target.data(),
                              .head_dim = kDim,
                              .segments = 2,
                              .offsets = offsets.data(),
                              .lengths = lengths.data()};
  compact_cache(dense, {tokens.data(), kept_offsets.data(), 2}, cache);
  append_tokens({rows.data() + row, rows.data() + row, 1}, cache);
  EXPECT_EQ(lengths, (std::vector<std::int32_t>{1, 3}));
  EXPECT_EQ(std::memcmp(target.data() + kFar * 2, rows.data(), static_cast<std::size_t>(2 * row)),
            0);
  EXPECT_EQ(std::memcmp(target.data() + kFar * 2 + 2 * row, rows.data() + 2 * row,
                        static_cast<std::size_t>(row)),
            0);
}

/// Cases of several blocks of rows, for the thread sanitizer: every operation with four threads.
void run_with_threads(const CompactionCase& item) {
  SCOPED_TRACE(item.name());
  const CompactionProblem problem(item);
  const std::vector<std::int64_t> rooms = plus(problem.budgets(), item.appended);
  with_threads(4, [&] {
    HostCache cache(item, rooms);
    compact_cache(problem.dense(), problem.kept(), cache.view());
    append_tokens(problem.new_tokens(), cache.view());
    HostCache larger(item, plus(rooms, 8));
    regrow_cache(cache.view(), larger.view());
    EXPECT_TRUE(larger.contents() == problem.appended_to(problem.compacted()));
  });
}

TEST(CacheCompactionRace, SegmentsShareBlocks) {
  run_with_threads(
      {.segments = 33, .head_dim = 128, .tokens = 65, .kept = Kept::kAll, .appended = 65});
}
TEST(CacheCompactionRace, OneLongSegment) {
  run_with_threads({.segments = 5,
                    .head_dim = 256,
                    .dtype = traces::DType::kF32,
                    .tokens = 1025,
                    .kept = Kept::kOneLong,
                    .order = DenseOrder::kTokenMajor,
                    .appended = 3});
}
TEST(CacheCompactionRace, EmptySegments) {
  run_with_threads({.segments = 8,
                    .head_dim = 256,
                    .tokens = 1025,
                    .kept = Kept::kFirstEmpty,
                    .order = DenseOrder::kPadded,
                    .appended = 33});
}
TEST(CacheCompactionRace, Pages) {
  run_with_threads({.segments = 8,
                    .head_dim = 128,
                    .dtype = traces::DType::kBF16,
                    .tokens = 513,
                    .kept = Kept::kAll,
                    .page_rows = 16,
                    .appended = 65});
}

}  // namespace
}  // namespace kvsieve::kernels::tests
