// Points of the cost model, timelines driven by the loads of a trace, and the simulation of a
// timeline alone, a task after another. `n` is the context, of `simulate` the number of tasks.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <memory>
#include <random>

#include "cases/case_groups.h"
#include "kvsieve/sim/step_cost.h"

namespace kvsieve::bench {
namespace {

using kernels::Schedule;
using sim::Lane;
using sim::Timeline;

constexpr std::int64_t kSteps = 64;
constexpr std::int64_t kSequences = 8;
constexpr std::int64_t kContext = 131'072;
constexpr std::int64_t kTinyTasks = 1024;
constexpr std::int64_t kTasks = 65'536;  ///< 64 steps

std::shared_ptr<const sim::StepModel> model() {
  return std::make_shared<const sim::StepModel>(sim::load_hardware("a100-sxm-80"),
                                                sim::load_model("llama-3.1-8b"));
}

sim::CostPoint point_of(const char* method, Schedule schedule, std::int64_t context) {
  sim::CostPoint point;
  point.method = sim::cost_method(method);
  point.method.schedule = schedule;
  point.context = context;
  point.batch = kSequences;
  return point;
}

BenchCase point_case(const char* method, Schedule schedule, std::int64_t context) {
  return {fmt::format("cost_point/method:{}/schedule:{}/n:{}", method, name_of(schedule), context),
          1, [=] {
            PreparedCase prepared;
            prepared.iterate = [step = model(),
                                at = point_of(method, schedule, context)]() mutable {
              at.context ^= 1;
              benchmark::DoNotOptimize(step->step(at).step_us);
            };
            prepared.items = "points";
            return prepared;
          }};
}

/// 64 steps x 32 layers, each with a load of its own.
BenchCase timeline_case(Schedule schedule) {
  return {fmt::format("cost_timeline/schedule:{}/n:{}", name_of(schedule), kContext), 1, [=] {
            const auto step = model();
            sim::StepLoads loads;
            loads.layers = step->model().layers;
            for (std::int64_t load = 0; load < kSteps * loads.layers; ++load) {
              loads.loads.push_back({.union_share = 0.03 + 0.001 * static_cast<double>(load % 7)});
            }
            PreparedCase prepared;
            prepared.iterate = [=, at = point_of("a2ats", schedule, kContext)] {
              const Timeline built = step->timeline(at, loads, kSteps);
              benchmark::DoNotOptimize(sim::simulate(built).total_us);
            };
            prepared.items = "timelines";
            return prepared;
          }};
}

constexpr std::int32_t kLayers = 32;
constexpr std::int32_t kMicroBatches = 2;

/// A task of a layer and where it waits for another lane: so many tasks before it.
struct Link {
  Lane lane;
  std::int32_t back;
};

/// A2ATS with attention on the host: dense layers, retrieval, down, append and attention there, up.
constexpr std::array<Link, 16> kLayer{{{Lane::kGpu, 0},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 0},
                                       {Lane::kToHost, 1},
                                       {Lane::kCpu, 1},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 0},
                                       {Lane::kCpu, 1},
                                       {Lane::kToGpu, 1},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 2},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 0},
                                       {Lane::kGpu, 0}}};

/// Decoding with two micro-batches over 32 layers. Times differ from task to task, so that few end
/// at one instant; transfers and attention on the host share its memory.
Timeline decode_timeline(std::int64_t tasks) {
  Timeline timeline;
  timeline.names = {"task"};
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> us(1.0, 20.0);
  for (std::int32_t step = 0; static_cast<std::int64_t>(timeline.tasks.size()) < tasks; ++step) {
    for (std::int32_t layer = 0; layer < kLayers; ++layer) {
      for (std::int32_t batch = 0; batch < kMicroBatches; ++batch) {
        for (const Link& link : kLayer) {
          sim::TimelineTask task{
              .lane = link.lane, .us = us(generator), .step = step, .layer = layer};
          task.micro_batch = batch;
          task.after_begin = static_cast<std::int32_t>(timeline.after.size());
          if (link.back > 0) {
            timeline.after.push_back(static_cast<std::int32_t>(timeline.tasks.size()) - link.back);
          }
          task.after_end = static_cast<std::int32_t>(timeline.after.size());
          task.uses = link.lane == Lane::kGpu   ? std::array{1.0, 0.0, 0.0}
                      : link.lane == Lane::kCpu ? std::array{0.0, 0.0, 0.9}
                                                : std::array{0.0, 0.8, 0.4};
          timeline.tasks.push_back(task);
        }
      }
    }
  }
  return timeline;
}

BenchCase simulate_case(std::int64_t tasks) {
  return {fmt::format("simulate/n:{}", tasks), 1, [tasks] {
            const auto timeline = std::make_shared<const Timeline>(decode_timeline(tasks));
            PreparedCase prepared;
            prepared.iterate = [timeline] {
              benchmark::DoNotOptimize(sim::simulate(*timeline).total_us);
            };
            prepared.items = "tasks";
            prepared.items_per_iteration = static_cast<double>(timeline->tasks.size());
            return prepared;
          }};
}

}  // namespace

std::vector<BenchCase> cost_cases() {
  return {point_case("full", Schedule::kSerial, kTinyTokens),
          point_case("full", Schedule::kSerial, kContext),
          point_case("ada-snapkv", Schedule::kSerial, kContext),
          point_case("a2ats", Schedule::kSerial, kContext),
          point_case("a2ats", Schedule::kOverlapped, kContext),
          timeline_case(Schedule::kSerial),
          timeline_case(Schedule::kOverlapped),
          simulate_case(kTinyTasks),
          simulate_case(kTasks)};
}

}  // namespace kvsieve::bench
