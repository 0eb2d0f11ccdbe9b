// The timeline of decoding with two micro-batches over 32 layers, a task after another.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <random>

#include "kvsieve/sim/timeline.h"

namespace kvsieve::bench {
namespace {

using sim::Lane;
using sim::Timeline;

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

/// Times differ from task to task, so that few end at one instant; transfers and attention on the
/// host share its memory.
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

/// n = 65536 tasks are 64 steps.
void simulate(benchmark::State& state) {
  const Timeline timeline = decode_timeline(state.range(0));
  for ([[maybe_unused]] auto iteration : state) {
    benchmark::DoNotOptimize(sim::simulate(timeline).total_us);
  }
  state.counters["tasks/s"] = benchmark::Counter(static_cast<double>(timeline.tasks.size()),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(simulate)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(65536)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace kvsieve::bench
