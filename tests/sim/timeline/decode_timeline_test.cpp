// The task graph of a decode step as a timeline: both schedules of all placements.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <tuple>

#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/sim/timeline.h"
#include "sim/timeline/timeline_builder.h"
#include "sim/timeline/timeline_reference.h"

namespace kvsieve::sim::tests {
namespace {

using kernels::Placement;
using kernels::Schedule;
using kernels::StepStage;

constexpr std::int64_t kLayers = 4;
constexpr std::int32_t kSteps = 3;
constexpr double kRounding = 1e-9;

/// Times of each stage of each step and layer over the whole batch, the same for both schedules.
using StageTimes = std::map<std::tuple<std::int32_t, std::int32_t, StepStage>, double>;

StageTimes random_times(std::mt19937& generator) {
  StageTimes times;
  std::uniform_real_distribution<double> us(0.0, 50.0);
  for (std::int32_t step = 0; step < kSteps; ++step) {
    for (std::int32_t layer = 0; layer < kLayers; ++layer) {
      for (std::size_t stage = 0; stage < kernels::kStepStages; ++stage) {
        times[{step, layer, static_cast<StepStage>(stage)}] = us(generator);
      }
    }
  }
  return times;
}

/// Transfers take the link and memory, the host's cores nearly all of memory.
std::array<double, kSharedResources> uses_of(Lane lane) {
  switch (lane) {
    case Lane::kGpu:
      return {1.0, 0.0, 0.0};
    case Lane::kCpu:
      return {0.0, 0.0, 0.9};
    default:
      return {0.0, 0.8, 0.4};
  }
}

Timeline decode_timeline(Placement placement, Schedule schedule, const StageTimes& times) {
  const kernels::DecodeGraphShape shape{kLayers, placement, schedule};
  std::vector<TaskOf> tasks;
  for (std::int32_t step = 0; step < kSteps; ++step) {
    const auto first = static_cast<std::int32_t>(tasks.size());
    for (const kernels::StepTask& node : kernels::decode_step_graph(shape)) {
      const auto lane = static_cast<Lane>(kernels::lane_of(node.stage));
      EXPECT_EQ(name_of(lane), kernels::name_of(kernels::lane_of(node.stage)));
      const std::array<double, kSharedResources> uses = uses_of(lane);
      TaskOf task{.lane = lane,
                  .us = times.at({step, node.layer, node.stage}) /
                        static_cast<double>(shape.micro_batches()),
                  .sms = uses[0],
                  .link = uses[1],
                  .host_memory = uses[2],
                  .micro_batch = node.micro_batch,
                  .step = step};
      for (const std::int32_t before : node.after) {
        task.after.push_back(first + before);
      }
      tasks.push_back(task);
    }
  }
  return timeline_of(tasks);
}

double sum_of_times(const Timeline& timeline) {
  return std::accumulate(timeline.tasks.begin(), timeline.tasks.end(), 0.0,
                         [](double sum, const TimelineTask& task) { return sum + task.us; });
}

template <class Body>
void for_each_placement(const Body& body) {
  std::mt19937 generator(11);
  for (const Placement placement : kernels::kPlacements) {
    for (int i = 0; i < 25; ++i) {
      SCOPED_TRACE(testing::Message() << kernels::name_of(placement) << ", times " << i);
      const StageTimes times = random_times(generator);
      body(decode_timeline(placement, Schedule::kSerial, times),
           decode_timeline(placement, Schedule::kOverlapped, times));
    }
  }
}

TEST(DecodeTimeline, ASerialStepIsTheSumOfItsStages) {
  for_each_placement([](const Timeline& serial, const Timeline&) {
    const TimelineResult result = simulate(serial);
    EXPECT_NEAR(result.total_us, sum_of_times(serial), kRounding);
    EXPECT_EQ(result.critical_path.size(), serial.tasks.size());
    EXPECT_NEAR(std::accumulate(result.busy_us.begin(), result.busy_us.end(), 0.0), result.total_us,
                kRounding);
    // Nothing hides a transfer.
    EXPECT_NEAR(result.exposed_transfer_us,
                result.busy_us[static_cast<std::size_t>(Lane::kToHost)] +
                    result.busy_us[static_cast<std::size_t>(Lane::kToGpu)],
                kRounding);
  });
}

TEST(DecodeTimeline, OverlapLiesBetweenTheLongestLaneAndSerial) {
  for_each_placement([](const Timeline& serial, const Timeline& overlapped) {
    ASSERT_NEAR(sum_of_times(serial), sum_of_times(overlapped), kRounding);
    const TimelineResult whole = simulate(serial);
    const TimelineResult halves = simulate(overlapped);
    EXPECT_LT(halves.total_us, whole.total_us);
    EXPECT_LT(halves.exposed_transfer_us, whole.exposed_transfer_us);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      EXPECT_GE(halves.total_us, whole.busy_us[lane] - kRounding);
    }
    const std::vector<double> steps = step_times_us(overlapped, halves);
    EXPECT_EQ(steps.size(), static_cast<std::size_t>(kSteps));
    EXPECT_NEAR(std::accumulate(steps.begin(), steps.end(), 0.0), halves.total_us, kRounding);
  });
}

TEST(DecodeTimeline, AgreesWithTheReference) {
  for_each_placement([](const Timeline& serial, const Timeline& overlapped) {
    for (const Timeline& timeline : {serial, overlapped}) {
      const TimelineResult result = simulate(timeline);
      const TimelineResult expected = reference_simulate(timeline);
      for (std::size_t t = 0; t < expected.spans.size(); ++t) {
        ASSERT_NEAR(result.spans[t].begin_us, expected.spans[t].begin_us, kRounding) << t;
        ASSERT_NEAR(result.spans[t].end_us, expected.spans[t].end_us, kRounding) << t;
      }
      EXPECT_NEAR(result.exposed_transfer_us, expected.exposed_transfer_us, kRounding);
    }
  });
}

}  // namespace
}  // namespace kvsieve::sim::tests
