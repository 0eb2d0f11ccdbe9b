#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "adakv/cache_compaction_device.h"
#include "kernels/adakv/cache_fixtures.h"
#include "kernels/device/large_memory.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::Bytes;
using tests::CompactionCase;
using tests::CompactionProblem;
using tests::DenseOrder;
using tests::HostCache;
using tests::Kept;
using tests::plus;

template <class T>
DeviceBuffer<T> upload(const std::vector<T>& elements, Stream& stream) {
  return DeviceBuffer<T>(std::span<const T>(elements), stream);
}

/// A copy of a host cache in device memory.
class DeviceCache {
 public:
  DeviceCache(HostCache& host, Stream& stream)
      : m_view(host.view()),
        m_keys(upload(host.keys, stream)),
        m_values(upload(host.values, stream)),
        m_offsets(upload(host.offsets, stream)),
        m_lengths(upload(host.lengths, stream)),
        m_pages(upload(host.pages, stream)) {
    m_view.keys = m_keys.data();
    m_view.values = m_values.data();
    m_view.offsets = m_offsets.data();
    m_view.lengths = m_lengths.data();
    m_view.pages = m_pages.data();
  }

  [[nodiscard]] const RaggedCacheView& view() const { return m_view; }

  /// Every byte equals that of the host's cache, slack and unused pages included.
  [[nodiscard]] testing::AssertionResult equals(const HostCache& host, Stream& stream) const {
    HostCache mine = host;
    download(mine, stream);
    if (mine.lengths != host.lengths) {
      return testing::AssertionFailure() << "lengths differ";
    }
    if (mine.keys != host.keys) {
      return testing::AssertionFailure() << "keys differ";
    }
    if (mine.values != host.values) {
      return testing::AssertionFailure() << "values differ";
    }
    return testing::AssertionSuccess();
  }

  /// Overwrites a cache of the same layout.
  void download(HostCache& host, Stream& stream) const {
    host.lengths = m_lengths.download(stream);
    host.keys = m_keys.download(stream);
    host.values = m_values.download(stream);
  }

 private:
  RaggedCacheView m_view;
  DeviceBuffer<std::byte> m_keys;
  DeviceBuffer<std::byte> m_values;
  DeviceBuffer<std::int64_t> m_offsets;
  DeviceBuffer<std::int32_t> m_lengths;
  DeviceBuffer<std::int32_t> m_pages;
};

/// The word in which kernels report a segment.
class FailedSegment {
 public:
  explicit FailedSegment(Stream& stream) : m_word(upload(std::vector<std::int32_t>{0}, stream)) {}
  [[nodiscard]] std::int32_t* data() const { return m_word.data(); }
  [[nodiscard]] std::int32_t value(Stream& stream) const { return m_word.download(stream)[0]; }

 private:
  DeviceBuffer<std::int32_t> m_word;
};

/// A problem's inputs in device memory.
struct DeviceProblem {
  DeviceBuffer<std::byte> keys;
  DeviceBuffer<std::byte> values;
  DeviceBuffer<std::int32_t> kept_tokens;
  DeviceBuffer<std::int64_t> kept_offsets;
  DeviceBuffer<std::byte> new_keys;
  DeviceBuffer<std::byte> new_values;
  DenseCacheView dense;
  KeptTokensView kept;
  NewTokens new_tokens;

  DeviceProblem(const CompactionProblem& problem, Stream& stream)
      : keys(upload(problem.keys, stream)),
        values(upload(problem.values, stream)),
        kept_tokens(upload(problem.kept_tokens, stream)),
        kept_offsets(upload(problem.kept_offsets, stream)),
        new_keys(upload(problem.new_keys, stream)),
        new_values(upload(problem.new_values, stream)),
        dense(problem.dense()),
        kept{kept_tokens.data(), kept_offsets.data(), problem.kept().rows},
        new_tokens{new_keys.data(), new_values.data(), problem.item.appended} {
    dense.keys = keys.data();
    dense.values = values.data();
  }
};

const std::vector<CompactionCase>& cases() {
  static const std::vector<CompactionCase> all = [] {
    std::vector<CompactionCase> table =
        tests::compaction_cases({kDeviceHeadDims.begin(), kDeviceHeadDims.end()},
                                {1, 31, 32, 33, 63, 64, 65, 255, 256, 257});
    table.push_back({.segments = 2, .head_dim = 128, .tokens = 1025, .kept = Kept::kAll});
    table.push_back({.segments = 3,
                     .head_dim = 64,
                     .tokens = 4097,
                     .kept = Kept::kOneLong,
                     .order = DenseOrder::kTokenMajor,
                     .page_rows = 64});
    // More segments than a block has threads, most of them empty.
    table.push_back({.segments = 300, .head_dim = 64, .tokens = 3, .kept = Kept::kFirstEmpty});
    return table;
  }();
  return all;
}

HostCache compacted(const CompactionProblem& problem, std::int64_t slack) {
  HostCache cache(problem.item, plus(problem.budgets(), slack));
  kernels::compact_cache(problem.dense(), problem.kept(), cache.view());
  return cache;
}

void check_compaction(const CompactionProblem& problem) {
  Stream stream;
  const DeviceProblem inputs(problem, stream);
  HostCache empty(problem.item, plus(problem.budgets(), 2));
  const DeviceCache cache(empty, stream);
  const FailedSegment failed(stream);
  compact_cache({inputs.dense, inputs.kept, cache.view(), failed.data()}, stream);
  EXPECT_TRUE(cache.equals(compacted(problem, 2), stream));
  EXPECT_EQ(failed.value(stream), 0);
}

void check_append(const CompactionProblem& problem) {
  Stream stream;
  const DeviceProblem inputs(problem, stream);
  HostCache expected = compacted(problem, problem.item.appended + 1);
  const DeviceCache cache(expected, stream);
  const FailedSegment failed(stream);
  append_tokens({inputs.new_tokens, cache.view(), failed.data()}, stream);
  kernels::append_tokens(problem.new_tokens(), expected.view());
  EXPECT_TRUE(cache.equals(expected, stream));
  EXPECT_EQ(failed.value(stream), 0);
}

void check_removal(const CompactionProblem& problem) {
  Stream stream;
  const CompactionProblem other(problem.item, 99);
  const DeviceProblem inputs(other, stream);
  HostCache expected = compacted(problem, problem.item.appended);
  kernels::append_tokens(problem.new_tokens(), expected.view());
  const DeviceCache cache(expected, stream);
  const FailedSegment failed(stream);
  remove_last_tokens({problem.item.appended, cache.view(), failed.data()}, stream);
  kernels::remove_last_tokens(problem.item.appended, expected.view());
  EXPECT_TRUE(cache.equals(expected, stream));
  append_tokens({inputs.new_tokens, cache.view(), failed.data()}, stream);
  kernels::append_tokens(other.new_tokens(), expected.view());
  EXPECT_TRUE(cache.equals(expected, stream));
  EXPECT_EQ(failed.value(stream), 0);
}

void check_regrowth(const CompactionProblem& problem) {
  Stream stream;
  HostCache from = compacted(problem, problem.item.appended);
  // Slack that differs from the slack of the cache to fill.
  kernels::append_tokens(problem.new_tokens(), from.view());
  kernels::remove_last_tokens(problem.item.appended, from.view());
  const DeviceCache device_from(from, stream);
  for (const std::int64_t page_rows : {0, 8}) {
    CompactionCase target = problem.item;
    target.page_rows = page_rows;
    SCOPED_TRACE("to " + target.name());
    HostCache to(target, plus(problem.budgets(), 3));
    const DeviceCache device_to(to, stream);
    const FailedSegment failed(stream);
    const std::int64_t from_rows = problem.item.page_rows == 0 ? from.offsets.back() : 0;
    regrow_cache({device_from.view(), from_rows, device_to.view(), failed.data()}, stream);
    kernels::regrow_cache(from.view(), to.view());
    EXPECT_TRUE(device_to.equals(to, stream));
    EXPECT_EQ(failed.value(stream), 0);
  }
}

/// Calls check(problem) for every case, in every order.
template <class Check>
void for_each_case(const Check& check) {
  ASSERT_LE(cases().size(), 150U);
  for (const CompactionCase& item : cases()) {
    SCOPED_TRACE(item.name());
    const CompactionProblem problem(item);
    for_each_order([&] { check(problem); });
  }
}

TEST(CacheCompactionDevice, CompactsAsTheCpuBackend) {
  for_each_case(check_compaction);
}

TEST(CacheCompactionDevice, AppendsAsTheCpuBackend) {
  for_each_case(check_append);
}

TEST(CacheCompactionDevice, RemovesAndAppendsAgainAsTheCpuBackend) {
  for_each_case(check_removal);
}

TEST(CacheCompactionDevice, RegrowsAsTheCpuBackendIntoAnyLayout) {
  for_each_case(check_regrowth);
}

TEST(CacheCompactionDevice, TakesABoundOfTheKeptRows) {
  const CompactionProblem problem({.segments = 3, .tokens = 100});
  for_each_order([&] {
    Stream stream;
    DeviceProblem inputs(problem, stream);
    inputs.kept.rows += 1000;
    HostCache empty(problem.item, problem.budgets());
    const DeviceCache cache(empty, stream);
    const FailedSegment failed(stream);
    compact_cache({inputs.dense, inputs.kept, cache.view(), failed.data()}, stream);
    EXPECT_TRUE(cache.equals(compacted(problem, 0), stream));
  });
}

TEST(CacheCompactionDevice, ReportsTheLastSegmentWithoutRoomAndFillsTheOthers) {
  for (const std::int64_t page_rows : {0, 4}) {
    for_each_order([&] {
      const CompactionCase item{
          .segments = 4, .tokens = 20, .kept = Kept::kAll, .page_rows = page_rows, .appended = 40};
      const CompactionProblem problem(item);
      Stream stream;
      const DeviceProblem inputs(problem, stream);
      HostCache roomy(item, {24, 16, 12, 24});
      const DeviceCache cache(roomy, stream);
      const FailedSegment failed(stream);
      compact_cache({inputs.dense, inputs.kept, cache.view(), failed.data()}, stream);
      EXPECT_EQ(failed.value(stream), 3);
      EXPECT_TRUE(fails_with(ErrorKind::kUsage, "compact_cache: segment 2 has no room", [&] {
        require_no_failed_segment("compact_cache", failed.value(stream));
      }));
      // The same list without segments 1 and 2 is what the others hold.
      CompactionProblem fitting = problem;
      fitting.kept_tokens.erase(fitting.kept_tokens.begin() + 20, fitting.kept_tokens.begin() + 60);
      fitting.kept_offsets = {0, 20, 20, 20, 40};
      kernels::compact_cache(fitting.dense(), fitting.kept(), roomy.view());
      EXPECT_TRUE(cache.equals(roomy, stream));
    });
  }
}

TEST(CacheCompactionDevice, AppendsToTheSegmentsThatHaveRoomAndReportsTheOthers) {
  // In one block a segment, where the block itself changes the length, and in several.
  for (const std::int64_t appended : {2, 40}) {
    for_each_order([&] {
      const CompactionCase item{
          .segments = 3, .head_dim = 128, .tokens = 20, .kept = Kept::kAll, .appended = appended};
      const CompactionProblem problem(item);
      Stream stream;
      const DeviceProblem inputs(problem, stream);
      HostCache host(item, {20 + appended, 19 + appended, 20 + appended});
      kernels::compact_cache(problem.dense(), problem.kept(), host.view());
      const DeviceCache cache(host, stream);
      const FailedSegment failed(stream);
      append_tokens({inputs.new_tokens, cache.view(), failed.data()}, stream);
      EXPECT_EQ(failed.value(stream), 2);
      cache.download(host, stream);
      tests::CacheContents expected = problem.appended_to(problem.compacted());
      expected.keys[1] = problem.compacted().keys[1];
      expected.values[1] = problem.compacted().values[1];
      EXPECT_TRUE(host.contents() == expected);
    });
  }
}

TEST(CacheCompactionDevice, RemovesNothingFromASegmentThatHasFewer) {
  for_each_order([] {
    const CompactionProblem problem({.segments = 3, .tokens = 20, .kept = Kept::kOneLong});
    Stream stream;
    HostCache expected = compacted(problem, 0);
    const DeviceCache cache(expected, stream);
    const FailedSegment failed(stream);
    remove_last_tokens({2, cache.view(), failed.data()}, stream);
    EXPECT_EQ(failed.value(stream), 3);
    expected.lengths = {1, 18, 1};
    EXPECT_TRUE(cache.equals(expected, stream));
    EXPECT_NO_THROW(require_no_failed_segment("remove_last_tokens", 0));
  });
}

TEST(CacheCompactionDevice, RefusesWhatHasNoKernel) {
  const CompactionProblem problem({.segments = 2, .head_dim = 72, .tokens = 9});
  Stream stream;
  HostCache host = compacted(problem, 0);
  const DeviceProblem inputs(problem, stream);
  const DeviceCache cache(host, stream);
  const FailedSegment failed(stream);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "64, 80, 96, 128, 256", [&] {
    compact_cache({inputs.dense, inputs.kept, cache.view(), failed.data()}, stream);
  }));
  const CompactionProblem good({.segments = 2, .tokens = 9});
  HostCache good_host = compacted(good, 0);
  const DeviceProblem good_inputs(good, stream);
  const DeviceCache good_cache(good_host, stream);
  const auto refused = [&](const DenseCacheView& dense, const RaggedCacheView& view,
                           const char* part) {
    return fails_with(ErrorKind::kUsage, part, [&] {
      compact_cache({dense, good_inputs.kept, view, failed.data()}, stream);
    });
  };
  DenseCacheView dense = good_inputs.dense;
  dense.token_stride = 68;
  EXPECT_TRUE(refused(dense, good_cache.view(), "multiples of 16 bytes"));
  dense = good_inputs.dense;
  dense.keys = static_cast<const std::byte*>(dense.keys) + 8;
  EXPECT_TRUE(refused(dense, good_cache.view(), "multiples of 16 bytes"));
  RaggedCacheView view = good_cache.view();
  view.segments = 3;
  EXPECT_TRUE(refused(good_inputs.dense, view,
                      "2 segments of F16 rows with d = 64 do not fit a cache of 3 segments"));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "append_tokens: -1 tokens", [&] {
    append_tokens({{nullptr, nullptr, -1}, good_cache.view(), failed.data()}, stream);
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "cannot take -2 tokens off", [&] {
    remove_last_tokens({-2, good_cache.view(), failed.data()}, stream);
  }));
}

TEST(CacheCompactionDevice, GivesEachBlockATileAndEachSegmentAThread) {
  // 32 rows of 256 bytes, 64 of 128, 8 of 1 KiB, 51 of 160 are a tile.
  EXPECT_EQ(copy_rows_config(64, 1, 256), (LaunchConfig{{2}, {256}}));
  EXPECT_EQ(copy_rows_config(65, 1, 256), (LaunchConfig{{3}, {256}}));
  EXPECT_EQ(copy_rows_config(65, 1, 128), (LaunchConfig{{2}, {256}}));
  EXPECT_EQ(copy_rows_config(52, 1, 160), (LaunchConfig{{2}, {256}}));
  EXPECT_EQ(copy_rows_config(16, 1, 1024), (LaunchConfig{{2}, {256}}));
  EXPECT_EQ(copy_rows_config(0, 257, 256), (LaunchConfig{{2}, {256}}));
  EXPECT_EQ(append_tokens_config(8, 1, 256), (LaunchConfig{{8}, {256}}));
  EXPECT_EQ(append_tokens_config(8, 33, 256), (LaunchConfig{{16}, {256}}));
  EXPECT_EQ(append_tokens_config(8, 0, 256).grid.x, 0U);
  EXPECT_EQ(change_lengths_config(257), (LaunchConfig{{2}, {256}}));
}

TEST(CacheCompactionDevice, T31_CopiesRowsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31U) + 4096;  // elements
  constexpr std::int64_t kDim = 64;
  constexpr std::int64_t kRow = kDim * 2;
  const LargeMemory source((kFar + 64 * kDim) * 2);
  const LargeMemory target((kFar + 64 * kDim) * 2);
  if (!source.exists() || !target.exists()) {
    GTEST_SKIP() << "this machine has no 8 GiB of address space left";
  }
  Stream stream;
  const Bytes rows = tests::random_bytes(3 * kRow, 1);
  copy_to_device(source.data() + kFar * 2, rows.data(), 2 * kRow, stream);
  const DeviceBuffer<std::byte> new_row(std::span<const std::byte>(rows).subspan(2 * kRow), stream);
  const auto tokens = upload(std::vector<std::int32_t>{0, 1}, stream);
  const auto kept_offsets = upload(std::vector<std::int64_t>{0, 0, 2}, stream);
  const auto offsets = upload(std::vector<std::int64_t>{0, kFar / kDim, kFar / kDim + 8}, stream);
  // Segment 0 keeps nothing and gets nothing: its row would need the memory between.
  const auto lengths = upload(std::vector<std::int32_t>{0, 0}, stream);
  const FailedSegment failed(stream);
  const DenseCacheView dense{.keys = source.data(),
                             .values = source.data(),
                             .head_dim = kDim,
                             .segments = 2,
                             .tokens = 2,
                             .segment_stride = kFar,
                             .token_stride = kDim};
  // K and V share memory: both copies write the same bytes.
  const RaggedCacheView cache{.keys = target.data(),
                              .values = target.data(),
                              .head_dim = kDim,
                              .segments = 2,
                              .offsets = offsets.data(),
                              .lengths = lengths.data()};
  compact_cache({dense, {tokens.data(), kept_offsets.data(), 2}, cache, failed.data()}, stream);
  Bytes copied(2 * kRow);
  copy_to_host(copied.data(), target.data() + kFar * 2, 2 * kRow, stream);
  stream.synchronize();
  EXPECT_EQ(lengths.download(stream), (std::vector<std::int32_t>{0, 2}));
  EXPECT_TRUE(std::equal(copied.begin(), copied.end(), rows.begin()));

  const std::int64_t row = kFar / kDim + 2;
  const RaggedCacheView segment{.keys = target.data(),
                                .values = target.data(),
                                .head_dim = kDim,
                                .segments = 1,
                                .offsets = offsets.data() + 1,
                                .lengths = lengths.data() + 1};
  append_tokens({{new_row.data(), new_row.data(), 1}, segment, failed.data()}, stream);
  copied.resize(kRow);
  copy_to_host(copied.data(), target.data() + row * kRow, kRow, stream);
  stream.synchronize();
  EXPECT_TRUE(std::equal(copied.begin(), copied.end(), rows.begin() + 2 * kRow));
  EXPECT_EQ(failed.value(stream), 0);
}

// Few, small and in one order: the thread sanitizer takes about 0.1 s a block, and finds a missing
// barrier in any order.
TEST(CacheCompactionRace, SmallCaches) {
  const CompactionCase small[] = {
      {.segments = 3, .tokens = 40, .appended = 3},
      {.segments = 2, .head_dim = 80, .tokens = 33, .kept = Kept::kAll, .appended = 65},
      {.segments = 3,
       .head_dim = 256,
       .dtype = traces::DType::kF32,
       .tokens = 9,
       .kept = Kept::kFirstEmpty,
       .order = DenseOrder::kTokenMajor,
       .appended = 1},
      {.segments = 2,
       .head_dim = 128,
       .dtype = traces::DType::kBF16,
       .tokens = 20,
       .page_rows = 16,
       .appended = 33}};
  for (const CompactionCase& item : small) {
    SCOPED_TRACE(item.name());
    const CompactionProblem problem(item);
    check_compaction(problem);
    check_append(problem);
    check_removal(problem);
    check_regrowth(problem);
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
