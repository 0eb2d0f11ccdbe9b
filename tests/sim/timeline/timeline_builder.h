#pragma once
// Timelines for tests: written down by hand, and random ones.

#include <cstdint>
#include <random>
#include <vector>

#include "kvsieve/sim/timeline.h"

namespace kvsieve::sim::tests {

/// A task as a test writes it down.
struct TaskOf {
  Lane lane = Lane::kGpu;
  double us = 0.0;
  std::vector<std::int32_t> after;
  double sms = 0.0;
  double link = 0.0;
  double host_memory = 0.0;
  std::int32_t micro_batch = 0;
  std::int32_t step = 0;
  std::int64_t bytes = 0;
};

/// Named task-0, task-1 and so on, layer 7, pieces 3 where bytes move.
[[nodiscard]] Timeline timeline_of(const std::vector<TaskOf>& tasks);

/// The tasks that task `t` waits for by its list, not by its stream.
[[nodiscard]] std::vector<std::int32_t> after_of(const Timeline& timeline, std::size_t t);

struct RandomTimeline {
  bool contended = true;     ///< tasks use shared resources, more than there is
  bool whole_times = false;  ///< whole us, so that many tasks end at one instant
  bool idle_tasks = true;    ///< some take no time
  std::int32_t most_tasks = 60;
};

/// Up to four micro-batches, up to three dependencies a task, steps ascending.
[[nodiscard]] Timeline random_timeline(std::mt19937& generator, const RandomTimeline& options);

}  // namespace kvsieve::sim::tests
