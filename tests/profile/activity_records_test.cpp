#include "kvsieve/profile/activity_records.h"

#include <gtest/gtest.h>

#include "kvsieve/traces/error.h"
#include "profile/record_builder.h"
#include "traces/fails_with.h"

namespace kvsieve::profile::tests {
namespace {

using kvsieve::tests::fails_with;

class ActivityRecordsTest : public testing::TestWithParam<std::uint32_t> {};

TEST_P(ActivityRecordsTest, EveryKindIsRead) {
  RecordBuilder builder(GetParam());
  builder.device("NVIDIA H100 80GB HBM3")
      .kernel("_ZN7kvsieve6sparseEv", 7, 1000, 2500, 31)
      .copy(1, 8, 3000, 3400, 32, 4096, 5)
      .copy(2, 9, 3100, 3200, 33, 512)
      .copy(8, 7, 3300, 3350, 34, 64)
      .peer_copy(3500, 3600, 35, 128)
      .fill(7, 4000, 4100, 36, 256)
      .call(11, 900, 950, 31)
      .call(11, 2900, 2950, 32, 41, 1)
      .driver_call(11, 910, 940, 31)
      .range(11, 890, 960, "rotate")
      .overhead(11, 100, 200, 5U << 16U);
  const ActivityRecords records = builder.parse();
  ASSERT_EQ(records.devices.size(), 1U);
  EXPECT_EQ(records.devices[0].name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(records.devices[0].multiprocessors, 132);
  EXPECT_EQ(records.devices[0].major, 9);
  ASSERT_EQ(records.kernels.size(), 1U);
  const KernelActivity& kernel = records.kernels[0];
  EXPECT_EQ(kernel.name, "_ZN7kvsieve6sparseEv");
  EXPECT_EQ(kernel.begin_ns, 1000);
  EXPECT_EQ(kernel.end_ns, 2500);
  EXPECT_EQ(kernel.stream, 7U);
  EXPECT_EQ(kernel.correlation, 31U);
  EXPECT_EQ(kernel.grid, (std::array<std::int32_t, 3>{7, 2, 1}));
  EXPECT_EQ(kernel.block, (std::array<std::int32_t, 3>{128, 1, 1}));
  EXPECT_EQ(kernel.registers, 40);
  EXPECT_EQ(kernel.shared_bytes, 1536);
  ASSERT_EQ(records.copies.size(), 4U);
  EXPECT_EQ(records.copies[0].way, CopyWay::kToGpu);
  EXPECT_EQ(records.copies[0].bytes, 4096);
  EXPECT_EQ(records.copies[0].pieces, GetParam() >= 26 ? 5 : 1);
  EXPECT_EQ(records.copies[0].stream, 8U);
  EXPECT_EQ(records.copies[0].correlation, 32U);
  EXPECT_EQ(records.copies[1].way, CopyWay::kToHost);
  EXPECT_EQ(records.copies[2].way, CopyWay::kOnGpu);
  EXPECT_EQ(records.copies[3].way, CopyWay::kOther);
  EXPECT_EQ(records.copies[3].correlation, 35U);
  ASSERT_EQ(records.fills.size(), 1U);
  EXPECT_EQ(records.fills[0].bytes, 256);
  EXPECT_EQ(records.fills[0].correlation, 36U);
  ASSERT_EQ(records.calls.size(), 3U);
  EXPECT_EQ(records.calls[0].name, "cudaLaunchKernel");
  EXPECT_EQ(records.calls[0].thread, 11U);
  EXPECT_FALSE(records.calls[0].failed);
  EXPECT_EQ(records.calls[1].name, "cuLaunchKernel");
  EXPECT_EQ(records.calls[2].name, "cudaMemcpyAsync");
  EXPECT_TRUE(records.calls[2].failed);
  ASSERT_EQ(records.ranges.size(), 1U);
  EXPECT_EQ(records.ranges[0].name, "rotate");
  EXPECT_EQ(records.ranges[0].begin_ns, 890);
  EXPECT_EQ(records.ranges[0].end_ns, 960);
  EXPECT_EQ(records.ranges[0].thread, 11U);
  ASSERT_EQ(records.overheads.size(), 1U);
  EXPECT_EQ(records.overheads[0].name, "loading a function");
  EXPECT_EQ(records.overheads[0].thread, 11U);
  EXPECT_TRUE(records.unknown.empty());
  EXPECT_EQ(records.truncated + records.implausible + records.unclosed + records.dropped, 0);
  EXPECT_FALSE(records.newer);
}

INSTANTIATE_TEST_SUITE_P(Versions, ActivityRecordsTest,
                         testing::Values(18U, 22U, 26U, 28U, 130000U, 130001U, 130401U));

TEST(ActivityRecords, AscendByBegin) {
  RecordBuilder builder(130001);
  builder.kernel("b", 1, 50, 60, 2).kernel("a", 2, 10, 90, 1).kernel("c", 1, 50, 55, 3);
  const ActivityRecords records = builder.parse();
  ASSERT_EQ(records.kernels.size(), 3U);
  EXPECT_EQ(records.kernels[0].name, "a");
  EXPECT_EQ(records.kernels[1].name, "c");
  EXPECT_EQ(records.kernels[2].name, "b");
}

TEST(ActivityRecords, OtherKindsAreCounted) {
  RecordBuilder builder(130001);
  builder.of_kind(38).call(1, 5, 6, 1).of_kind(38);
  const ActivityRecords records = builder.parse();
  EXPECT_EQ(records.unknown, (std::map<std::uint32_t, std::int64_t>{{38, 2}}));
  EXPECT_EQ(records.calls.size(), 1U);
}

TEST(ActivityRecords, TruncatedOnesAreCountedForEveryLengthTooShort) {
  for (const std::size_t cut : {0UL, 8UL, 100UL, 104UL, 105UL, 112UL, 200UL, 208UL}) {
    RecordBuilder builder(130001);
    builder.call(1, 5, 6, 1).kernel("k", 1, 10, 20, 1).cut(cut);
    const ActivityRecords records = builder.parse();
    // 112 of 216 bytes are needed.
    EXPECT_EQ(records.kernels.size(), cut < 105 ? 1U : 0U) << cut;
    EXPECT_EQ(records.calls.size(), 1U) << cut;
    EXPECT_EQ(records.truncated + static_cast<std::int64_t>(records.kernels.size()), 1) << cut;
  }
  // The count of copies belongs to the record from 12.8 on.
  RecordBuilder builder(26);
  builder.copy(1, 1, 10, 20, 1, 64, 3).cut(8);
  EXPECT_EQ(builder.parse().truncated, 1);
}

TEST(ActivityRecords, TimesThatMakeNoSenseAreCounted) {
  RecordBuilder builder(130001);
  builder.kernel("none", 1, 0, 0, 1)
      .kernel("backwards", 1, 20, 10, 2)
      .kernel("empty", 1, 20, 20, 3);
  const ActivityRecords records = builder.parse();
  EXPECT_EQ(records.implausible, 2);
  ASSERT_EQ(records.kernels.size(), 1U);
  EXPECT_EQ(records.kernels[0].name, "empty");
}

TEST(ActivityRecords, SizesThatMakeNoSenseAreCounted) {
  RecordBuilder builder(130001);
  constexpr std::int64_t kFar = std::int64_t{1} << 62U;
  builder.copy(1, 1, 10, 20, 1, -5).copy(1, 1, 10, 20, 1, kFar).copy(1, 1, 10, 20, 1, 64, kFar);
  builder.fill(1, 10, 20, 1, -1).fill(1, 10, kFar, 1, 16).copy(1, 1, 10, 20, 1, 64, -3);
  const ActivityRecords records = builder.parse();
  EXPECT_EQ(records.implausible, 5);
  ASSERT_EQ(records.copies.size(), 1U);
  EXPECT_EQ(records.copies[0].pieces, 1);
}

TEST(ActivityRecords, RangesNestAndMayEndInAnotherBuffer) {
  RecordBuilder builder(28);
  builder.range_begin(1, 10, 1, "outer").range_begin(1, 20, 2, "inner").range_end(1, 30, 2);
  builder.next_buffer().range_end(1, 40, 1).range_begin(1, 50, 3, "open").range_end(2, 60, 4);
  const ActivityRecords records = builder.parse();
  ASSERT_EQ(records.ranges.size(), 2U);
  EXPECT_EQ(records.ranges[0].name, "outer");
  EXPECT_EQ(records.ranges[0].end_ns, 40);
  EXPECT_EQ(records.ranges[1].name, "inner");
  EXPECT_EQ(records.unclosed, 2);
}

TEST(ActivityRecords, AnEndMayComeBeforeItsBegin) {
  RecordBuilder builder(130001);
  builder.range_end(1, 40, 1).next_buffer().range_begin(5, 10, 1, "late");
  const ActivityRecords records = builder.parse();
  ASSERT_EQ(records.ranges.size(), 1U);
  EXPECT_EQ(records.ranges[0].name, "late");
  EXPECT_EQ(records.ranges[0].begin_ns, 10);
  EXPECT_EQ(records.ranges[0].thread, 5U);
}

TEST(ActivityRecords, NewerVersionsAreReadAndOlderOnesRefused) {
  RecordBuilder builder(130401);
  builder.kernel("k", 1, 10, 20, 1);
  ActivityRecording recording = builder.record();
  recording.cupti_version = 140000;
  const ActivityRecords records = parse_activities(recording);
  EXPECT_TRUE(records.newer);
  EXPECT_EQ(records.kernels.size(), 1U);
  recording.cupti_version = 17;
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "recorded by CUPTI 17",
                         [&] { static_cast<void>(parse_activities(recording)); }));
}

TEST(ActivityRecords, ATextThatIsNotThereIsEmpty) {
  RecordBuilder builder(130001);
  builder.kernel("k", 1, 10, 20, 1);
  ActivityRecording recording = builder.record();
  recording.texts.clear();
  EXPECT_EQ(parse_activities(recording).kernels.at(0).name, "");
}

}  // namespace
}  // namespace kvsieve::profile::tests
