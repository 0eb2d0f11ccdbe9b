#include "kvsieve/profile/measured_timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "profile/record_builder.h"
#include "profile/sample_recording.h"

namespace kvsieve::profile::tests {
namespace {

constexpr std::uint32_t kMain = 100;
constexpr std::uint32_t kHelper = 200;

MeasuredTimeline timeline_of(const RecordBuilder& builder,
                             const std::vector<std::int64_t>& layers = {}) {
  return measured_timeline(builder.parse(), layers);
}

const MeasuredOperation& operation(const MeasuredTimeline& timeline, const std::string& name) {
  const auto found = std::find_if(timeline.operations.begin(), timeline.operations.end(),
                                  [&](const MeasuredOperation& one) { return one.name == name; });
  EXPECT_NE(found, timeline.operations.end()) << name;
  return *found;
}

TEST(MeasuredTimeline, AStageTakesWhatItsRangeEnqueued) {
  RecordBuilder builder(130001);
  builder.device("H100").range(kMain, 1000, 3000, "score/step:2/layer:1/micro-batch:1");
  builder.range(kMain, 1100, 2000, "score_table");  // within it
  builder.call(kMain, 1200, 1400, 1).call(kMain, 2200, 2300, 2);
  builder.kernel("_ZN7kvsieve7kernels5cuda_18score_table_kernelEPKf", 7, 5000, 9000, 1)
      .kernel("lookup", 7, 10000, 12000, 2);
  const MeasuredTimeline timeline = timeline_of(builder, {3, 8});
  EXPECT_EQ(timeline.device, "H100");
  ASSERT_EQ(timeline.operations.size(), 1U);
  const MeasuredOperation& score = timeline.operations[0];
  EXPECT_EQ(score.name, "score");
  EXPECT_EQ(score.lane, sim::Lane::kGpu);
  EXPECT_EQ(score.step, 2);
  EXPECT_EQ(score.layer, 8);
  EXPECT_EQ(score.micro_batch, 1);
  EXPECT_EQ(score.activities, 2);
  // Time begins with the range.
  EXPECT_DOUBLE_EQ(score.begin_us, 4.0);
  EXPECT_DOUBLE_EQ(score.end_us, 11.0);
  EXPECT_DOUBLE_EQ(score.busy_us, 6.0);
  EXPECT_DOUBLE_EQ(score.call_us, 0.3);
  ASSERT_EQ(timeline.activities.size(), 2U);
  EXPECT_EQ(timeline.activities[0].name, "score_table_kernel");
  EXPECT_DOUBLE_EQ(timeline.activities[0].wait_us, 3.8);
  EXPECT_DOUBLE_EQ(timeline.activities[0].call_us, 0.2);
  const LaneFigures& gpu = timeline.lanes[0];
  EXPECT_DOUBLE_EQ(gpu.busy_us, 6.0);
  EXPECT_DOUBLE_EQ(gpu.gap_us, 1.0);
  EXPECT_DOUBLE_EQ(gpu.longest_gap_us, 1.0);
  EXPECT_TRUE(timeline.notes.empty());
}

TEST(MeasuredTimeline, RangesThatBeginAndEndTogetherAreNestedAsTheyWereClosed) {
  RecordBuilder builder(130001);
  builder.range_begin(kMain, 1000, 1, "score/step:0/layer:0/micro-batch:0")
      .range_begin(kMain, 1000, 2, "score_table")
      .call(kMain, 1000, 1400, 1)
      .range_end(kMain, 1400, 2)
      .range_end(kMain, 1400, 1)
      .call(kMain, 1400, 1500, 2, 41);
  builder.kernel("score_table_kernel", 7, 5000, 9000, 1).copy(2, 7, 9000, 9100, 2, 64);
  const MeasuredTimeline timeline = timeline_of(builder);
  ASSERT_EQ(timeline.operations.size(), 2U);
  EXPECT_EQ(timeline.operations[0].name, "score");
  EXPECT_EQ(timeline.operations[1].name, "copy");
}

TEST(MeasuredTimeline, AKernelThatFetchesIsOnTheStagesLane) {
  RecordBuilder builder(130001);
  builder.range(kMain, 1000, 1500, "fetch/step:0/layer:0/micro-batch:0").call(kMain, 1100, 1200, 1);
  builder.kernel("gather_rows_kernel", 9, 2000, 4000, 1);
  const MeasuredTimeline timeline = timeline_of(builder);
  EXPECT_EQ(operation(timeline, "fetch").lane, sim::Lane::kToGpu);
  EXPECT_EQ(timeline.activities[0].lane, sim::Lane::kToGpu);
  EXPECT_DOUBLE_EQ(timeline.lanes[static_cast<std::size_t>(sim::Lane::kToGpu)].busy_us, 2.0);
  EXPECT_EQ(timeline.operations[0].bytes, 0);
}

TEST(MeasuredTimeline, BatchedCopiesCountTheirPieces) {
  RecordBuilder builder(130001);
  builder.range(kMain, 1000, 1500, "fetch/step:0/layer:0/micro-batch:0")
      .call(kMain, 1100, 1400, 1, 41);
  // A batch may come as several records of one call.
  builder.copy(1, 9, 2000, 3000, 1, 4096, 16).copy(1, 9, 3500, 4000, 1, 512, 2);
  const MeasuredTimeline timeline = timeline_of(builder);
  const MeasuredOperation& fetch = operation(timeline, "fetch");
  EXPECT_EQ(fetch.bytes, 4608);
  EXPECT_EQ(fetch.pieces, 18);
  EXPECT_EQ(fetch.activities, 2);
  EXPECT_DOUBLE_EQ(fetch.busy_us, 1.5);
  EXPECT_DOUBLE_EQ(fetch.call_us, 0.3);  // once
  EXPECT_EQ(timeline.lanes[static_cast<std::size_t>(sim::Lane::kToGpu)].pieces, 18);
}

TEST(MeasuredTimeline, TwoStreamsOverlap) {
  RecordBuilder builder(28);
  builder.call(kMain, 100, 200, 1).call(kMain, 300, 400, 2).call(kMain, 500, 600, 3, 41);
  builder.kernel("a", 7, 1000, 5000, 1).kernel("b", 8, 3000, 7000, 2);
  builder.copy(2, 9, 4000, 4500, 3, 64);
  const MeasuredTimeline timeline = timeline_of(builder);
  ASSERT_EQ(timeline.operations.size(), 3U);
  EXPECT_DOUBLE_EQ(timeline.lanes[0].busy_us, 6.0);  // united
  EXPECT_DOUBLE_EQ(timeline.lanes[0].gap_us, 0.0);
  EXPECT_DOUBLE_EQ(timeline.lanes[static_cast<std::size_t>(sim::Lane::kToHost)].busy_us, 0.5);
  EXPECT_EQ(operation(timeline, "copy").lane, sim::Lane::kToHost);
  EXPECT_EQ(operation(timeline, "a").step, -1);
}

TEST(MeasuredTimeline, ARangeSplitsByLane) {
  RecordBuilder builder(130001);
  builder.range(kMain, 100, 900, "window_scores")
      .call(kMain, 200, 250, 1)
      .call(kMain, 300, 350, 2, 41);
  builder.kernel("k", 7, 1000, 2000, 1).copy(2, 7, 2100, 2200, 2, 128).fill(7, 2300, 2400, 2, 16);
  const MeasuredTimeline timeline = timeline_of(builder);
  ASSERT_EQ(timeline.operations.size(), 2U);
  EXPECT_EQ(timeline.operations[0].lane, sim::Lane::kGpu);
  EXPECT_EQ(timeline.operations[0].activities, 2);
  EXPECT_EQ(timeline.operations[0].bytes, 0);  // a fill crosses no link
  EXPECT_EQ(timeline.operations[1].lane, sim::Lane::kToHost);
  EXPECT_EQ(timeline.operations[1].bytes, 128);
}

TEST(MeasuredTimeline, HostStagesAreTheirOwnRanges) {
  const std::string name = "cpu-attention/step:1/layer:0/micro-batch:0";
  RecordBuilder builder(130001);
  // Enqueued on one thread, run on another.
  builder.range(kMain, 1000, 1500, name).call(kMain, 1100, 1200, 1);
  builder.range(kHelper, 5000, 25000, name);
  builder.range(kHelper, 26000, 27000, "append/step:1/layer:0/micro-batch:0");
  builder.range(kHelper, 28000, 29000, "something else");
  const MeasuredTimeline timeline = timeline_of(builder, {7});
  ASSERT_EQ(timeline.operations.size(), 2U);
  const MeasuredOperation& attention = timeline.operations[0];
  EXPECT_EQ(attention.name, "cpu-attention");
  EXPECT_EQ(attention.lane, sim::Lane::kCpu);
  EXPECT_EQ(attention.layer, 7);
  EXPECT_EQ(attention.activities, 0);
  EXPECT_DOUBLE_EQ(attention.busy_us, 20.0);
  EXPECT_DOUBLE_EQ(timeline.lanes[static_cast<std::size_t>(sim::Lane::kCpu)].busy_us, 21.0);
}

TEST(MeasuredTimeline, ALaggingGpuClockIsMovedUntilNothingBeginsTooSoon) {
  RecordBuilder builder(130001);
  builder.range(kMain, 9000, 10500, "topk/step:0/layer:0/micro-batch:0");
  builder.call(kMain, 10000, 10200, 1).call(kMain, 11000, 11100, 2);
  // 3 us before its call; the other one 1 us behind its own.
  builder.kernel("first", 7, 7000, 8000, 1).kernel("second", 7, 12000, 13000, 2);
  const MeasuredTimeline timeline = timeline_of(builder);
  EXPECT_DOUBLE_EQ(timeline.clock_shift_us, 3.0);
  const MeasuredOperation& topk = operation(timeline, "topk");
  EXPECT_DOUBLE_EQ(topk.begin_us, 1.0);  // with its call
  EXPECT_DOUBLE_EQ(topk.busy_us, 1.0);
  EXPECT_DOUBLE_EQ(operation(timeline, "second").begin_us, 6.0);
  EXPECT_DOUBLE_EQ(timeline.activities[0].wait_us, 0.0);
  ASSERT_EQ(timeline.notes.size(), 1U);
  EXPECT_NE(timeline.notes[0].find("moved by 3.000 us"), std::string::npos);
}

TEST(MeasuredTimeline, TheRuntimesCallCountsWhereTheDriversIsThereToo) {
  RecordBuilder builder(130001);
  builder.driver_call(kMain, 1050, 1150, 1).call(kMain, 1000, 1200, 1);
  builder.kernel("k", 7, 2000, 3000, 1);
  EXPECT_DOUBLE_EQ(timeline_of(builder).operations.at(0).call_us, 0.2);
}

TEST(MeasuredTimeline, WithoutARecordOfItsCallAKernelStandsAlone) {
  RecordBuilder builder(130001);
  builder.range(kMain, 1000, 3000, "rotate/step:0/layer:0/micro-batch:0");
  builder.kernel("lost", 7, 1500, 1600, 99);
  const MeasuredTimeline timeline = timeline_of(builder);
  ASSERT_EQ(timeline.operations.size(), 1U);
  EXPECT_EQ(timeline.operations[0].name, "lost");
  EXPECT_EQ(timeline.operations[0].step, -1);
  EXPECT_DOUBLE_EQ(timeline.operations[0].call_us, 0.0);
}

TEST(MeasuredTimeline, WhatIsMissingIsNoted) {
  RecordBuilder builder(130001);
  builder.of_kind(38).call(kMain, 10, 20, 1, 211, 2).kernel("k", 7, 0, 0, 1);
  builder.range_begin(kMain, 5, 1, "open").kernel("cut", 7, 30, 40, 1).cut(112);
  ActivityRecording recording = builder.record();
  recording.dropped = 4;
  const MeasuredTimeline timeline = measured_timeline(parse_activities(recording), {});
  const auto noted = [&](const char* part) {
    return std::any_of(timeline.notes.begin(), timeline.notes.end(), [&](const std::string& note) {
      return note.find(part) != std::string::npos;
    });
  };
  EXPECT_TRUE(noted("4 records were dropped"));
  EXPECT_TRUE(noted("1 records are shorter"));
  EXPECT_TRUE(noted("1 records have times or sizes"));
  EXPECT_TRUE(noted("1 ranges lack"));
  EXPECT_TRUE(noted("activity kind 38"));
  EXPECT_TRUE(noted("1 calls of CUDA did not succeed"));
  EXPECT_TRUE(noted("no kernel, copy or fill was recorded"));
  EXPECT_EQ(timeline.notes.size(), 7U);
}

TEST(MeasuredTimeline, KernelsWithoutAnyRangeAreNoted) {
  RecordBuilder builder(130001);
  builder.call(kMain, 1000, 1200, 1).kernel("k", 7, 2000, 3000, 1);
  EXPECT_EQ(timeline_of(builder).notes,
            std::vector<std::string>{
                "no NVTX range was recorded: every kernel, copy and fill stands alone"});
}

TEST(MeasuredTimeline, AnEmptyRecordingIsAnEmptyTimeline) {
  const MeasuredTimeline timeline = timeline_of(RecordBuilder(130001));
  EXPECT_TRUE(timeline.operations.empty());
  EXPECT_DOUBLE_EQ(timeline.total_us, 0.0);
  EXPECT_EQ(timeline.notes, std::vector<std::string>{"no kernel, copy or fill was recorded"});
}

/// Whatever stands in a recording, a timeline comes of it; sanitizers watch.
TEST(MeasuredTimeline, DamagedRecordsDoNoHarm) {
  SampleRun run;
  run.shape = {2, kernels::Placement::kFetchDma, kernels::Schedule::kSerial};
  run.layers = {0, 1};
  const ActivityRecording whole = sample_recording(run);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    ActivityRecording recording = whole;
    for (int damage = 0; damage < 40; ++damage) {
      recording.records[random() % recording.records.size()] = static_cast<std::byte>(random());
    }
    const MeasuredTimeline timeline =
        measured_timeline(parse_activities(recording), recording.run.layers);
    for (const MeasuredOperation& one : timeline.operations) {
      EXPECT_GE(one.busy_us, 0.0);
      EXPECT_LE(one.begin_us, one.end_us);
    }
    EXPECT_FALSE(chrome_trace(timeline, "damaged").empty());
  }
}

TEST(KernelName, LosesWhatIsNoName) {
  EXPECT_EQ(
      short_kernel_name("_ZN7kvsieve7kernels5cuda_20sparse_decode_kernelI6__halfLi128EEEvPKT_"),
      "sparse_decode_kernel");
  EXPECT_EQ(short_kernel_name("_ZN12_GLOBAL__N_14copyEPvm"), "copy");
  EXPECT_EQ(short_kernel_name("plain"), "plain");
  EXPECT_EQ(short_kernel_name("f"), "f");
  EXPECT_EQ(short_kernel_name(""), "");
}

}  // namespace
}  // namespace kvsieve::profile::tests
