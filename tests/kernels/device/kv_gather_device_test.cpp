#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "a2ats/kv_gather_device.h"
#include "kernels/attention/case_table.h"
#include "kernels/device/orders.h"
#include "kernels/device/traffic.h"
#include "kvsieve/kernels/device_support.h"
#include "kvsieve/traces/error.h"
#ifdef KVSIEVE_TEST_SIMT
#include "exec/simt/pinned_memory.h"
#include "kernels/adakv/sparse_memory.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using Bytes = std::vector<unsigned char>;

constexpr unsigned char kUntouched = 0xee;

struct GatherCase {
  std::int64_t segment_rows = 100;
  std::vector<std::int64_t> counts{10};
  std::int64_t spare_capacity = 0;
  std::int64_t run = 1;  ///< tokens of a run
  std::int64_t head_dim = 64;
  traces::DType dtype = traces::DType::kF16;

  [[nodiscard]] std::string name() const {
    std::string text = "rows " + std::to_string(segment_rows) + " counts";
    for (const std::int64_t count : counts) {
      text += ' ' + std::to_string(count);
    }
    return text + " runs of " + std::to_string(run) + " d" + std::to_string(head_dim) + ' ' +
           std::string(traces::name_of(dtype));
  }
};

/// Random rows in pinned memory, lists of them, and what has to arrive.
class GatherProblem {
 public:
  explicit GatherProblem(const GatherCase& item, std::uint32_t seed = 1)
      : m_segments(static_cast<std::int64_t>(item.counts.size())),
        m_row_bytes(
            row_bytes(item.head_dim, static_cast<std::int64_t>(traces::size_of(item.dtype)))),
        m_capacity(*std::max_element(item.counts.begin(), item.counts.end()) + item.spare_capacity),
        m_rows(static_cast<std::size_t>(m_segments * item.segment_rows * m_row_bytes)),
        m_source{m_rows.data(), item.dtype, item.head_dim, item.segment_rows},
        m_tokens(static_cast<std::size_t>(m_segments * m_capacity), -1),
        m_counts(item.counts.begin(), item.counts.end()),
        expected(static_cast<std::size_t>(m_segments * m_capacity * m_row_bytes), kUntouched) {
    std::mt19937 random(seed);
    std::generate_n(m_rows.data(), m_rows.size(),
                    [&] { return static_cast<unsigned char>(random()); });
    for (std::int64_t s = 0; s < m_segments; ++s) {
      list_segment(s, item, random);
    }
  }

  /// Over lists in host memory.
  [[nodiscard]] GatherRowsArgs args(void* target) {
    return {m_source, m_segments, {m_tokens.data(), m_counts.data(), m_capacity}, target};
  }

  [[nodiscard]] Bytes by_kernel(Stream& stream) {
    const DeviceBuffer<std::int32_t> tokens(std::span<const std::int32_t>(m_tokens), stream);
    const DeviceBuffer<std::int32_t> counts(std::span<const std::int32_t>(m_counts), stream);
    const DeviceBuffer<unsigned char> target = untouched(stream);
    GatherRowsArgs gather = args(target.data());
    gather.lists = {tokens.data(), counts.data(), m_capacity};
    gather_rows(gather, stream);
    return target.download(stream);
  }
  [[nodiscard]] Bytes by_copies(Stream& stream) {
    const DeviceBuffer<unsigned char> target = untouched(stream);
    gather_rows_by_copies(args(target.data()), stream);
    return target.download(stream);
  }
  [[nodiscard]] Bytes by_staging(Stream& stream) {
    const DeviceBuffer<unsigned char> target = untouched(stream);
    const PinnedBuffer<unsigned char> staging(target.size());
    gather_rows_by_staging(args(target.data()), staging.data(), stream);
    return target.download(stream);
  }

  [[nodiscard]] std::int64_t listed_bytes() const { return listed_rows() * m_row_bytes; }
  [[nodiscard]] std::int64_t listed_rows() const {
    return std::accumulate(m_counts.begin(), m_counts.end(), std::int64_t{0});
  }
  [[nodiscard]] std::int64_t filled_segments() const {
    return static_cast<std::int64_t>(m_counts.size()) -
           std::count(m_counts.begin(), m_counts.end(), 0);
  }
  [[nodiscard]] std::int64_t runs() const { return m_runs; }
  [[nodiscard]] PinnedBuffer<unsigned char>& rows() { return m_rows; }
  [[nodiscard]] std::vector<std::int32_t>& counts() { return m_counts; }

 private:
  void list_segment(std::int64_t s, const GatherCase& item, std::mt19937& random) {
    // Runs of `run` tokens with a gap before each, as far as the segment allows.
    const std::int64_t count = item.counts[static_cast<std::size_t>(s)];
    std::int64_t gaps = item.segment_rows - count;
    std::int64_t token = -1;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t step = 1;
      if (i % item.run == 0 && gaps > 0) {
        const std::int64_t gap =
            1 + static_cast<std::int64_t>(random()) % std::min(gaps, gaps / 8 + 1);
        step += gap;
        gaps -= gap;
      }
      m_runs += i == 0 || step > 1 ? 1 : 0;
      token += step;
      m_tokens[static_cast<std::size_t>(s * m_capacity + i)] = static_cast<std::int32_t>(token);
      std::memcpy(expected.data() + (s * m_capacity + i) * m_row_bytes,
                  m_rows.data() + (s * item.segment_rows + token) * m_row_bytes,
                  static_cast<std::size_t>(m_row_bytes));
    }
  }

  [[nodiscard]] DeviceBuffer<unsigned char> untouched(Stream& stream) const {
    DeviceBuffer<unsigned char> target(expected.size());
    fill_device(target.data(), kUntouched, target.size_bytes(), stream);
    stream.synchronize();
    return target;
  }

  std::int64_t m_segments;
  std::int64_t m_row_bytes;
  std::int64_t m_capacity;
  PinnedBuffer<unsigned char> m_rows;
  KvRows m_source;
  std::vector<std::int32_t> m_tokens;
  std::vector<std::int32_t> m_counts;
  std::int64_t m_runs = 0;

 public:
  Bytes expected;  ///< [S, capacity, 2, d]
};

std::vector<GatherCase> gather_cases() {
  const std::vector<std::vector<std::int64_t>> counts = {
      {0}, {1}, {31, 32, 33}, {0, 64, 0}, {127, 128, 129, 1}, {255, 0, 257}, {511, 513}, {1023},
  };
  constexpr std::int64_t kRuns[] = {1, 2, 7, 4000};
  constexpr std::int64_t kMoreRows[] = {0, 1, 700};
  const std::size_t levels[] = {counts.size(),    kDeviceHeadDims.size(), kDeviceDTypes.size(),
                                std::size(kRuns), std::size(kMoreRows),   2};
  std::vector<GatherCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    GatherCase& item = cases.emplace_back();
    item.counts = counts[row[0]];
    item.head_dim = kDeviceHeadDims[row[1]];
    item.dtype = kDeviceDTypes[row[2]];
    item.run = kRuns[row[3]];
    item.segment_rows =
        std::max<std::int64_t>(1, *std::max_element(item.counts.begin(), item.counts.end())) +
        kMoreRows[row[4]];
    item.spare_capacity = row[5] == 0 ? 0 : 3;
  }
  return cases;
}

TEST(KvGatherDevice, EveryWayGivesTheSameBytes) {
  const std::vector<GatherCase> cases = gather_cases();
  EXPECT_LE(cases.size(), 150U);
  for_each_order([&] {
    Stream stream;
    for (const GatherCase& item : cases) {
      SCOPED_TRACE(item.name());
      GatherProblem problem(item);
      ASSERT_TRUE(problem.by_kernel(stream) == problem.expected);
      ASSERT_TRUE(problem.by_copies(stream) == problem.expected);
      ASSERT_TRUE(problem.by_staging(stream) == problem.expected);
    }
  });
}

TEST(KvGatherDevice, CopiesMoveTheRunsAndNothingElse) {
  for (const GatherCase& item : gather_cases()) {
    SCOPED_TRACE(item.name());
    Stream stream;
    GatherProblem problem(item);
    const Traffic down(BusPath::kCopyToDevice);
    const DeviceBuffer<unsigned char> target(problem.expected.size());
    gather_rows_by_copies(problem.args(target.data()), stream);
    stream.synchronize();
    EXPECT_EQ(down.since(), (BusTraffic{problem.listed_bytes(), problem.runs()}));
    const Traffic again(BusPath::kCopyToDevice);
    const PinnedBuffer<unsigned char> staging(target.size());
    gather_rows_by_staging(problem.args(target.data()), staging.data(), stream);
    stream.synchronize();
    EXPECT_EQ(again.since(), (BusTraffic{problem.listed_bytes(), problem.filled_segments()}));
  }
}

TEST(KvGatherDevice, CutListsAreReadAsFarAsTheyGo) {
  Stream stream;
  GatherProblem problem({.counts = {20, 30}});
  problem.counts()[1] = 1000;
  EXPECT_TRUE(problem.by_kernel(stream) == problem.expected);
  EXPECT_TRUE(problem.by_copies(stream) == problem.expected);
  EXPECT_TRUE(problem.by_staging(stream) == problem.expected);
}

TEST(KvGatherDevice, SeesWhatTheHostChangedBetweenLaunches) {
  Stream stream;
  const GatherCase item{.segment_rows = 40, .counts = {40}};
  GatherProblem problem(item);
  EXPECT_TRUE(problem.by_kernel(stream) == problem.expected);
  for (std::size_t i = 0; i < problem.rows().size(); ++i) {
    problem.rows().data()[i] ^= 0x5aU;
    problem.expected[i] ^= 0x5aU;
  }
  EXPECT_TRUE(problem.by_kernel(stream) == problem.expected);
}

TEST(KvGatherDevice, Defect6_ListsCostFourBytesATokenNotOneATokenOfTheContext) {
  // 3 % of the tokens of 8 heads, against a byte for every token that there is.
  constexpr std::int64_t kTokens = 4096;
  constexpr std::int64_t kSelected = kTokens * 3 / 100;
  Stream stream;
  GatherProblem problem(
      {.segment_rows = kTokens, .counts = std::vector<std::int64_t>(8, kSelected)});
  const Traffic down(BusPath::kCopyToDevice);
  EXPECT_TRUE(problem.by_kernel(stream) == problem.expected);
  EXPECT_EQ(down.since(), (BusTraffic{8 * (kSelected * 4 + 4), 2}));
  EXPECT_LT(down.since().bytes, 8 * kTokens);
}

TEST(KvGatherDevice, Defect7_HostRowsOfSixteenBitsCostHalfOfFp32) {
  for (const traces::DType dtype : {traces::DType::kF16, traces::DType::kBF16}) {
    Stream stream;
    GatherProblem half({.dtype = dtype});
    GatherProblem full({.dtype = traces::DType::kF32});
    EXPECT_EQ(half.rows().size() * 2, full.rows().size());
    const DeviceBuffer<unsigned char> target(full.expected.size());
    const Traffic of_half(BusPath::kCopyToDevice);
    gather_rows_by_copies(half.args(target.data()), stream);
    EXPECT_EQ(of_half.since().bytes, 10 * 2 * 64 * 2);
    const Traffic of_full(BusPath::kCopyToDevice);
    gather_rows_by_copies(full.args(target.data()), stream);
    EXPECT_EQ(of_full.since().bytes, 2 * 10 * 2 * 64 * 2);
    stream.synchronize();
  }
}

TEST(KvGatherDevice, LaunchesBlocksForTheLongestListWithinLimits) {
  GatherRowsArgs args;
  args.source = {nullptr, traces::DType::kF16, 128, 131072};
  args.segments = 8;
  args.lists.capacity = 40;  // 1280 vectors: two tiles
  EXPECT_EQ(gather_rows_config(args), (LaunchConfig{{16}, {256}, 0}));
  args.lists.capacity = 131072;
  EXPECT_EQ(gather_rows_config(args).grid, (Dim3{1024, 1, 1}));
  args.segments = 5000;
  EXPECT_EQ(gather_rows_config(args).grid, (Dim3{5000, 1, 1}));
  args.lists.capacity = 0;
  EXPECT_EQ(gather_rows_config(args).grid.x, 0U);
}

TEST(KvGatherDevice, NamesRowsThatItDoesNotSupport) {
  Stream stream;
  GatherRowsArgs args;
  args.source = {nullptr, traces::DType::kF16, 6, 10};
  args.segments = 1;
  args.lists.capacity = 1;
  try {
    gather_rows(args, stream);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("24"), std::string::npos) << error.what();
  }
}

#ifdef KVSIEVE_TEST_SIMT
TEST(KvGatherDevice, TheKernelReadsTheRowsAndNothingElse) {
  for (const GatherCase& item : gather_cases()) {
    SCOPED_TRACE(item.name());
    Stream stream;
    GatherProblem problem(item);
    const Traffic read(BusPath::kReadByKernel);
    const Traffic written(BusPath::kWrittenByKernel);
    (void)problem.by_kernel(stream);
    EXPECT_EQ(read.since(), (BusTraffic{problem.listed_bytes(), problem.listed_bytes() / 16}));
    EXPECT_EQ(written.since(), BusTraffic{});
  }
}

TEST(KvGatherDevice, Defect8_RowsThatAreNotPinnedStopTheLaunch) {
  // What expand().contiguous() does to a pinned tensor: the copy is pageable.
  Stream stream;
  GatherProblem problem({});
  Bytes pageable(problem.rows().data(), problem.rows().data() + problem.rows().size());
  const DeviceBuffer<unsigned char> target(problem.expected.size());
  const std::vector<std::int32_t> listed{3};
  const DeviceBuffer<std::int32_t> tokens(std::span<const std::int32_t>(listed), stream);
  const std::vector<std::int32_t> one{1};
  const DeviceBuffer<std::int32_t> counts(std::span<const std::int32_t>(one), stream);
  GatherRowsArgs args = problem.args(target.data());
  args.lists = {tokens.data(), counts.data(), 1};
  args.source.rows = pageable.data();
  gather_rows(args, stream);
  EXPECT_THROW(stream.synchronize(), Error);
  GatherRowsArgs by_copies = problem.args(target.data());
  by_copies.source.rows = pageable.data();
  EXPECT_THROW(gather_rows_by_copies(by_copies, stream), Error);
  // Moving the owner moves no bytes.
  const unsigned char* before = problem.rows().data();
  PinnedBuffer<unsigned char> moved = std::move(problem.rows());
  EXPECT_EQ(moved.data(), before);
  args.source.rows = moved.data();
  gather_rows(args, stream);
  stream.synchronize();
}

TEST(KvGatherDevice, T36_ReachesRowsBeyond2To31Elements) {
  constexpr std::int64_t kRows = std::int64_t{1} << 23U;
  constexpr std::int64_t kBytes = row_bytes(128, 2);
  const tests::SparseMemory memory(static_cast<std::size_t>(2 * kRows * kBytes));
  ASSERT_TRUE(memory.mapped());
  simt::register_pinned(memory.data(), static_cast<std::size_t>(2 * kRows * kBytes));
  std::memset(memory.data() + kRows * kBytes, 1, kBytes);
  std::memset(memory.data() + (2 * kRows - 1) * kBytes, 2, kBytes);
  // Both lists have room for a whole segment, so that targets lie as far apart.
  const tests::SparseMemory target(static_cast<std::size_t>(2 * kRows * kBytes));
  const tests::SparseMemory tokens(static_cast<std::size_t>(2 * kRows) * sizeof(std::int32_t));
  ASSERT_TRUE(target.mapped() && tokens.mapped());
  auto* list = reinterpret_cast<std::int32_t*>(tokens.data());
  list[kRows] = 0;
  list[kRows + 1] = kRows - 1;
  std::int32_t counts[] = {0, 2};
  Stream stream;
  const GatherRowsArgs args{
      {memory.data(), traces::DType::kF16, 128, kRows}, 2, {list, counts, kRows}, target.data()};
  gather_rows(args, stream);
  stream.synchronize();
  simt::forget_pinned(memory.data());
  EXPECT_EQ(target.data()[kRows * kBytes], std::byte{1});
  EXPECT_EQ(target.data()[(kRows + 2) * kBytes - 1], std::byte{2});
}
#endif

/// Small enough for a race detector that runs each block's threads one by one.
TEST(KvGatherRace, SmallCases) {
  Stream stream;
  for (const GatherCase& item :
       {GatherCase{.counts = {5, 0, 40}, .run = 3, .dtype = traces::DType::kBF16},
        GatherCase{.counts = {33}, .head_dim = 80, .dtype = traces::DType::kF32}}) {
    GatherProblem problem(item);
    EXPECT_TRUE(problem.by_kernel(stream) == problem.expected);
    EXPECT_TRUE(problem.by_copies(stream) == problem.expected);
    EXPECT_TRUE(problem.by_staging(stream) == problem.expected);
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
