#include "kvsieve/sim/timeline.h"

#include <gtest/gtest.h>

#include <limits>

#include "sim/timeline/timeline_builder.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using enum Lane;
using Path = std::vector<std::int32_t>;

struct Span {
  double begin_us;
  double end_us;
};

void expect_spans(const TimelineResult& result, const std::vector<Span>& expected) {
  ASSERT_EQ(result.spans.size(), expected.size());
  for (std::size_t t = 0; t < expected.size(); ++t) {
    EXPECT_NEAR(result.spans[t].begin_us, expected[t].begin_us, 1e-12) << "task " << t;
    EXPECT_NEAR(result.spans[t].end_us, expected[t].end_us, 1e-12) << "task " << t;
  }
}

double busy(const TimelineResult& result, Lane lane) {
  return result.busy_us[static_cast<std::size_t>(lane)];
}

double utilisation(const TimelineResult& result, SharedResource resource) {
  return result.utilisation[static_cast<std::size_t>(resource)];
}

TEST(Timeline, NamesLanesAndResources) {
  EXPECT_EQ(name_of(kGpu), "gpu");
  EXPECT_EQ(name_of(kToHost), "to-host");
  EXPECT_EQ(name_of(kToGpu), "to-gpu");
  EXPECT_EQ(name_of(kCpu), "cpu");
  EXPECT_EQ(name_of(SharedResource::kSms), "sms");
  EXPECT_EQ(name_of(SharedResource::kLink), "link");
  EXPECT_EQ(name_of(SharedResource::kHostMemory), "host-memory");
}

TEST(Timeline, WithoutTasksTakesNoTime) {
  const TimelineResult result = simulate({});
  EXPECT_TRUE(result.spans.empty());
  EXPECT_TRUE(result.critical_path.empty());
  EXPECT_EQ(result.total_us, 0.0);
  EXPECT_EQ(result.exposed_transfer_us, 0.0);
  EXPECT_EQ(result.utilisation, (std::array<double, kSharedResources>{}));
  EXPECT_TRUE(step_times_us({}, result).empty());
}

TEST(Timeline, OneTaskTakesItsOwnTime) {
  const TimelineResult result = simulate(timeline_of({{.lane = kCpu, .us = 3.5, .sms = 1.0}}));
  expect_spans(result, {{0.0, 3.5}});
  EXPECT_EQ(result.total_us, 3.5);
  EXPECT_EQ(busy(result, kCpu), 3.5);
  EXPECT_EQ(busy(result, kGpu), 0.0);
  EXPECT_EQ(utilisation(result, SharedResource::kSms), 1.0);
  EXPECT_EQ(utilisation(result, SharedResource::kLink), 0.0);
  EXPECT_EQ(result.critical_path, Path{0});
}

TEST(Timeline, AChainOverAllLanesIsSerial) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kGpu, .us = 2.0},
                            {.lane = kToHost, .us = 1.0, .after = {0}},
                            {.lane = kCpu, .us = 4.0, .after = {1}, .host_memory = 1.0},
                            {.lane = kToGpu, .us = 0.5, .after = {2}, .host_memory = 1.0},
                            {.lane = kGpu, .us = 3.0, .after = {3}}}));
  expect_spans(result, {{0.0, 2.0}, {2.0, 3.0}, {3.0, 7.0}, {7.0, 7.5}, {7.5, 10.5}});
  EXPECT_EQ(result.total_us, 10.5);
  EXPECT_EQ(busy(result, kGpu), 5.0);
  EXPECT_EQ(result.critical_path, (Path{0, 1, 2, 3, 4}));
  EXPECT_NEAR(utilisation(result, SharedResource::kHostMemory), 4.5 / 10.5, 1e-15);
}

TEST(Timeline, TasksOfOneStreamFollowOneAnotherWithoutBeingTold) {
  const TimelineResult result = simulate(timeline_of({{.us = 2.0}, {.us = 1.0}, {.us = 4.0}}));
  expect_spans(result, {{0.0, 2.0}, {2.0, 3.0}, {3.0, 7.0}});
  EXPECT_EQ(result.critical_path, (Path{0, 1, 2}));
}

TEST(Timeline, LanesOverlap) {
  const TimelineResult result = simulate(timeline_of({{.lane = kGpu, .us = 5.0},
                                                      {.lane = kCpu, .us = 3.0},
                                                      {.lane = kToGpu, .us = 1.0, .after = {1}},
                                                      {.lane = kGpu, .us = 2.0, .after = {2}}}));
  expect_spans(result, {{0.0, 5.0}, {0.0, 3.0}, {3.0, 4.0}, {5.0, 7.0}});
  EXPECT_EQ(result.critical_path, (Path{0, 3}));
}

TEST(Timeline, TwoTasksShareMemoryByWhatTheyUse) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kCpu, .us = 10.0, .host_memory = 0.8},
                            {.lane = kToGpu, .us = 14.0, .host_memory = 0.6}}));
  // Both at 1 / 1.4 until the first ends at 14; the second has then done 10 of its 14.
  expect_spans(result, {{0.0, 14.0}, {0.0, 18.0}});
  EXPECT_NEAR(utilisation(result, SharedResource::kHostMemory), (0.8 * 10 + 0.6 * 14) / 18, 1e-15);
  EXPECT_NEAR(busy(result, kToGpu), 18.0, 1e-12);
  EXPECT_EQ(result.critical_path, Path{1});
}

TEST(Timeline, UsesThatSumToOneCostNothing) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kCpu, .us = 10.0, .host_memory = 0.5},
                            {.lane = kToGpu, .us = 14.0, .host_memory = 0.5}}));
  expect_spans(result, {{0.0, 10.0}, {0.0, 14.0}});
}

TEST(Timeline, ALateComerSlowsWhatAlreadyRuns) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kGpu, .us = 4.0},
                            {.lane = kCpu, .us = 10.0, .host_memory = 1.0},
                            {.lane = kToGpu, .us = 2.0, .after = {0}, .host_memory = 1.0}}));
  // The copy takes twice its time from 4 on; what the CPU has left by then, 6, is 4 at 8.
  expect_spans(result, {{0.0, 4.0}, {0.0, 12.0}, {4.0, 8.0}});
}

TEST(Timeline, ThreeTasksShareTwoResources) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kCpu, .us = 4.0, .host_memory = 0.5},
                            {.lane = kToHost, .us = 8.0, .link = 0.5, .host_memory = 0.5},
                            {.lane = kToGpu, .us = 8.0, .link = 0.6, .host_memory = 0.5},
                            {.lane = kGpu, .us = 7.0, .sms = 1.0}}));
  // Memory, 1.5, is scarcer than the link, 1.1, until the CPU's task ends at 6; the GPU's shares
  // neither.
  expect_spans(result, {{0.0, 6.0}, {0.0, 10.4}, {0.0, 10.4}, {0.0, 7.0}});
  EXPECT_NEAR(utilisation(result, SharedResource::kLink), (0.5 * 8 + 0.6 * 8) / 10.4, 1e-15);
  EXPECT_NEAR(utilisation(result, SharedResource::kSms), 7 / 10.4, 1e-15);
}

TEST(Timeline, EachTaskHasTheRateOfItsOwnScarcestResource) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kCpu, .us = 6.0, .host_memory = 1.0},
                            {.lane = kToGpu, .us = 3.0, .link = 0.5, .host_memory = 1.0},
                            {.lane = kGpu, .us = 4.0, .sms = 0.5, .link = 0.7}}));
  // The link is 1.2 in demand, memory 2: the kernel runs at 1 / 1.2, the others at 1 / 2.
  expect_spans(result, {{0.0, 9.0}, {0.0, 6.0}, {0.0, 4.8}});
}

TEST(Timeline, MicroBatchesFillEachOthersGaps) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kGpu, .us = 2.0, .micro_batch = 0},
                            {.lane = kGpu, .us = 2.0, .micro_batch = 1},
                            {.lane = kCpu, .us = 5.0, .after = {0}, .micro_batch = 0},
                            {.lane = kCpu, .us = 5.0, .after = {1}, .micro_batch = 1},
                            {.lane = kGpu, .us = 1.0, .after = {2}, .micro_batch = 0},
                            {.lane = kGpu, .us = 1.0, .after = {3}, .micro_batch = 1}}));
  expect_spans(result, {{0.0, 2.0}, {2.0, 4.0}, {2.0, 7.0}, {7.0, 12.0}, {7.0, 8.0}, {12.0, 13.0}});
  EXPECT_EQ(result.critical_path, (Path{0, 2, 3, 5}));
}

TEST(Timeline, TheEarliestIssuedReadyTaskRunsFirst) {
  // When the lane falls free at 4, task 3 has been ready since 3 and task 4 since 1.
  const TimelineResult result =
      simulate(timeline_of({{.lane = kGpu, .us = 4.0},
                            {.lane = kToGpu, .us = 1.0},
                            {.lane = kCpu, .us = 3.0},
                            {.lane = kGpu, .us = 2.0, .after = {2}, .micro_batch = 1},
                            {.lane = kGpu, .us = 2.0, .after = {1}, .micro_batch = 2}}));
  expect_spans(result, {{0.0, 4.0}, {0.0, 1.0}, {0.0, 3.0}, {4.0, 6.0}, {6.0, 8.0}});
}

TEST(Timeline, AWaitingTaskBlocksItsStreamOnly) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kCpu, .us = 5.0},
                            {.lane = kGpu, .us = 1.0, .after = {0}},
                            {.lane = kGpu, .us = 2.0},
                            {.lane = kGpu, .us = 3.0, .micro_batch = 1}}));
  expect_spans(result, {{0.0, 5.0}, {5.0, 6.0}, {6.0, 8.0}, {0.0, 3.0}});
}

TEST(Timeline, TasksEndBeforeOthersBegin) {
  // Task 2 becomes ready at the very instant at which the lane falls free for it and task 3.
  const TimelineResult result =
      simulate(timeline_of({{.lane = kGpu, .us = 2.0},
                            {.lane = kCpu, .us = 2.0},
                            {.lane = kGpu, .us = 1.0, .after = {1}, .micro_batch = 1},
                            {.lane = kGpu, .us = 1.0, .micro_batch = 2}}));
  expect_spans(result, {{0.0, 2.0}, {0.0, 2.0}, {2.0, 3.0}, {3.0, 4.0}});
}

TEST(Timeline, TasksThatTakeNoTimeEndAtOnce) {
  const TimelineResult result = simulate(timeline_of({{.lane = kGpu, .us = 2.0},
                                                      {.lane = kToHost, .after = {0}},
                                                      {.lane = kCpu, .after = {1}},
                                                      {.lane = kToGpu, .after = {2}},
                                                      {.lane = kGpu, .us = 1.0, .after = {3}}}));
  expect_spans(result, {{0.0, 2.0}, {2.0, 2.0}, {2.0, 2.0}, {2.0, 2.0}, {2.0, 3.0}});
  EXPECT_EQ(result.exposed_transfer_us, 0.0);
  EXPECT_EQ(simulate(timeline_of({{}, {}, {.lane = kCpu, .after = {1}}})).total_us, 0.0);
}

TEST(Timeline, ATaskThatTakesNoTimeWaitsForItsLane) {
  const TimelineResult result = simulate(
      timeline_of({{.lane = kGpu, .us = 3.0}, {.lane = kGpu, .sms = 1.0, .micro_batch = 1}}));
  expect_spans(result, {{0.0, 3.0}, {3.0, 3.0}});
}

TEST(Timeline, ATaskThatTakesNoTimeLetsAnEarlierIssuedOneGoFirst) {
  const TimelineResult result =
      simulate(timeline_of({{.lane = kCpu},
                            {.lane = kGpu, .us = 2.0, .after = {0}, .micro_batch = 1},
                            {.lane = kGpu, .us = 3.0}}));
  expect_spans(result, {{0.0, 0.0}, {0.0, 2.0}, {2.0, 5.0}});
}

TEST(Timeline, DependenciesMayBeSharedAndRepeated) {
  Timeline timeline = timeline_of({{.lane = kCpu, .us = 1.0},
                                   {.lane = kToGpu, .us = 2.0},
                                   {.lane = kGpu, .us = 1.0, .after = {0, 1, 0}},
                                   {.lane = kToHost, .us = 1.0}});
  timeline.tasks[3].after_begin = timeline.tasks[2].after_begin + 1;
  timeline.tasks[3].after_end = timeline.tasks[2].after_end;
  expect_spans(simulate(timeline), {{0.0, 1.0}, {0.0, 2.0}, {2.0, 3.0}, {2.0, 3.0}});
}

TEST(Timeline, ExposedTransferIsTimeInWhichNothingElseRuns) {
  struct Case {
    const char* what;
    std::vector<TaskOf> tasks;
    double exposed_us;
  };
  const std::vector<Case> cases = {
      {"a copy alone", {{.lane = kToGpu, .us = 3.0}}, 3.0},
      {"a computing GPU alone", {{.lane = kGpu, .us = 3.0, .sms = 1.0}}, 0.0},
      {"behind a shorter GPU task", {{.lane = kToHost, .us = 3.0}, {.lane = kGpu, .us = 2.0}}, 1.0},
      {"behind a CPU task", {{.lane = kToGpu, .us = 3.0}, {.lane = kCpu, .us = 3.0}}, 0.0},
      {"both engines count once", {{.lane = kToGpu, .us = 3.0}, {.lane = kToHost, .us = 2.0}}, 3.0},
      {"between GPU tasks",
       {{.lane = kGpu, .us = 2.0},
        {.lane = kToGpu, .us = 3.0, .after = {0}},
        {.lane = kGpu, .us = 1.0, .after = {1}}},
       3.0},
      {"a copy kernel alone", {{.lane = kGpu, .us = 3.0, .link = 1.0}}, 3.0},
      {"a copy kernel behind the CPU",
       {{.lane = kGpu, .us = 3.0, .link = 1.0}, {.lane = kCpu, .us = 2.0}},
       1.0},
      {"a copy kernel does not hide a copy",
       {{.lane = kGpu, .us = 3.0, .link = 0.2}, {.lane = kToGpu, .us = 4.0, .link = 0.2}},
       4.0},
      {"a CPU task is no transfer", {{.lane = kCpu, .us = 3.0, .link = 1.0}}, 0.0},
      {"two copies that slow each other",
       {{.lane = kToGpu, .us = 2.0, .link = 1.0}, {.lane = kToHost, .us = 2.0, .link = 1.0}},
       4.0},
  };
  for (const Case& item : cases) {
    EXPECT_NEAR(simulate(timeline_of(item.tasks)).exposed_transfer_us, item.exposed_us, 1e-12)
        << item.what;
  }
}

TEST(Timeline, TheCriticalPathPrefersTheLongestTask) {
  struct Case {
    const char* what;
    std::vector<TaskOf> tasks;
    Path path;
  };
  const std::vector<Case> cases = {
      {"the lane's task before",
       {{.lane = kGpu, .us = 3.0},
        {.lane = kCpu, .us = 1.0},
        {.lane = kCpu, .us = 2.0},
        {.lane = kGpu, .us = 1.0, .after = {2}}},
       {0, 3}},
      {"the dependency",
       {{.lane = kGpu, .us = 1.0},
        {.lane = kGpu, .us = 2.0},
        {.lane = kCpu, .us = 3.0},
        {.lane = kGpu, .us = 1.0, .after = {2}}},
       {2, 3}},
      {"one of two dependencies",
       {{.lane = kToHost, .us = 1.0},
        {.lane = kToHost, .us = 2.0},
        {.lane = kCpu, .us = 3.0},
        {.lane = kGpu, .us = 1.0, .after = {1, 2}}},
       {2, 3}},
      {"of equally long ones the one issued first",
       {{.lane = kToHost, .us = 3.0},
        {.lane = kCpu, .us = 3.0},
        {.lane = kGpu, .us = 3.0},
        {.lane = kGpu, .us = 1.0, .after = {1, 0}}},
       {0, 3}},
      {"not one that ended earlier",
       {{.lane = kToHost, .us = 5.0},
        {.lane = kCpu, .us = 1.0, .after = {0}},
        {.lane = kGpu, .us = 1.0, .after = {0, 1}}},
       {0, 1, 2}},
      {"of those that end last",
       {{.lane = kToHost, .us = 1.0},
        {.lane = kToHost, .us = 2.0},
        {.lane = kCpu, .us = 3.0},
        {.lane = kToGpu, .us = 3.0}},
       {2}},
  };
  for (const Case& item : cases) {
    EXPECT_EQ(simulate(timeline_of(item.tasks)).critical_path, item.path) << item.what;
  }
}

TEST(Timeline, StepsLastFromEndToEnd) {
  const auto times = [](const std::vector<TaskOf>& tasks) {
    const Timeline timeline = timeline_of(tasks);
    return step_times_us(timeline, simulate(timeline));
  };
  using Times = std::vector<double>;
  EXPECT_EQ(times({{.us = 2.0}, {.us = 3.0, .step = 1}}), (Times{2.0, 3.0}));
  // The CPU still works on step 0 when the GPU is in step 1.
  EXPECT_EQ(times({{.us = 2.0}, {.lane = kCpu, .us = 4.0}, {.us = 3.0, .step = 1}}),
            (Times{4.0, 1.0}));
  EXPECT_EQ(times({{.us = 4.0}, {.lane = kCpu, .us = 1.0, .step = 1}, {.us = 2.0, .step = 2}}),
            (Times{4.0, 0.0, 2.0}));
  EXPECT_EQ(times({{.us = 2.0}, {.us = 3.0, .step = 2}}), (Times{2.0, 0.0, 3.0}));
}

TEST(Timeline, RefusesWhatCannotRun) {
  const auto fails = [](std::string_view part, const auto& change) {
    Timeline timeline = timeline_of({{.us = 1.0},
                                     {.lane = kCpu, .us = 1.0, .after = {0}},
                                     {.us = 1.0, .after = {1}, .micro_batch = 1, .step = 4}});
    EXPECT_NO_THROW((void)simulate(timeline));
    change(timeline);
    return fails_with(ErrorKind::kInternal, part, [&] { (void)simulate(timeline); });
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(fails("timeline: task 2 'task-2' (step 4, layer 7, micro-batch 1) waits for task 2",
                    [](Timeline& t) { t.after[1] = 2; }));
  EXPECT_TRUE(fails("task 1 'task-1' (step 0, layer 7, micro-batch 0) waits for task 2",
                    [](Timeline& t) { t.after[0] = 2; }));
  EXPECT_TRUE(fails("task 1 'task-1'", [](Timeline& t) { t.after[0] = -1; }));
  EXPECT_TRUE(fails("task 1 'task-1'", [](Timeline& t) { t.tasks[1].us = -1.0; }));
  EXPECT_TRUE(fails("takes nan us",
                    [](Timeline& t) { t.tasks[1].us = std::numeric_limits<double>::quiet_NaN(); }));
  EXPECT_TRUE(fails("takes inf us", [&](Timeline& t) { t.tasks[1].us = kInfinity; }));
  EXPECT_TRUE(fails("task 1 'task-1'", [](Timeline& t) {
    t.tasks[0].us = t.tasks[1].us = 0.2 * std::numeric_limits<double>::max();
  }));
  EXPECT_TRUE(fails("uses 1.5 of link", [](Timeline& t) { t.tasks[2].uses[1] = 1.5; }));
  EXPECT_TRUE(fails("uses -0.5 of sms", [](Timeline& t) { t.tasks[2].uses[0] = -0.5; }));
  EXPECT_TRUE(fails("uses nan of host-memory", [](Timeline& t) {
    t.tasks[2].uses[2] = std::numeric_limits<double>::quiet_NaN();
  }));
  EXPECT_TRUE(fails("task 0 '?'", [](Timeline& t) { t.tasks[0].name = 3; }));
  EXPECT_TRUE(fails("task 0 '?'", [](Timeline& t) { t.tasks[0].name = -1; }));
  EXPECT_TRUE(fails("negative step", [](Timeline& t) { t.tasks[0].step = -1; }));
  EXPECT_TRUE(fails("negative step", [](Timeline& t) { t.tasks[0].micro_batch = -1; }));
  EXPECT_TRUE(
      fails("waits for [1, 3) of a list of 2", [](Timeline& t) { t.tasks[2].after_end = 3; }));
  EXPECT_TRUE(fails("waits for [1, 0)", [](Timeline& t) { t.tasks[2].after_end = 0; }));
  EXPECT_TRUE(fails("waits for [-1, 1)", [](Timeline& t) { t.tasks[1].after_begin = -1; }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
