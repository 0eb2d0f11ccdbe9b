#include "sim/timeline/timeline_builder.h"

#include <fmt/format.h>

namespace kvsieve::sim::tests {

Timeline timeline_of(const std::vector<TaskOf>& tasks) {
  Timeline timeline;
  for (const TaskOf& task : tasks) {
    const auto begin = static_cast<std::int32_t>(timeline.after.size());
    timeline.after.insert(timeline.after.end(), task.after.begin(), task.after.end());
    timeline.tasks.push_back({.name = static_cast<std::int32_t>(timeline.names.size()),
                              .lane = task.lane,
                              .us = task.us,
                              .uses = {task.sms, task.link, task.host_memory},
                              .step = task.step,
                              .layer = 7,
                              .micro_batch = task.micro_batch,
                              .bytes = task.bytes,
                              .pieces = task.bytes > 0 ? 3 : 0,
                              .after_begin = begin,
                              .after_end = static_cast<std::int32_t>(timeline.after.size())});
    timeline.names.push_back(fmt::format("task-{}", timeline.names.size()));
  }
  return timeline;
}

std::vector<std::int32_t> after_of(const Timeline& timeline, std::size_t t) {
  const TimelineTask& task = timeline.tasks[t];
  return {timeline.after.begin() + task.after_begin, timeline.after.begin() + task.after_end};
}

Timeline random_timeline(std::mt19937& generator, const RandomTimeline& options) {
  const auto below = [&](std::int32_t end) {
    return std::uniform_int_distribution<std::int32_t>(0, end - 1)(generator);
  };
  const auto share = [&] {
    return options.contended && below(2) == 0
               ? std::uniform_real_distribution<double>(0.1, 1.0)(generator)
               : 0.0;
  };
  std::vector<TaskOf> tasks;
  const std::int32_t count = 1 + below(options.most_tasks);
  const std::int32_t micro_batches = 1 + below(4);
  for (std::int32_t t = 0; t < count; ++t) {
    TaskOf task{.lane = static_cast<Lane>(below(kLanes)),
                .us = options.whole_times
                          ? 1.0 + below(4)
                          : std::uniform_real_distribution<double>(0.5, 20.0)(generator),
                .sms = share(),
                .link = share(),
                .host_memory = share(),
                .micro_batch = below(micro_batches),
                .step = t / 8,
                .bytes = below(3) == 0 ? below(1000) : 0};
    if (options.idle_tasks && below(6) == 0) {
      task.us = 0.0;
    }
    for (std::int32_t i = t == 0 ? 0 : below(4); i > 0; --i) {
      task.after.push_back(below(t));
    }
    tasks.push_back(task);
  }
  return timeline_of(tasks);
}

}  // namespace kvsieve::sim::tests
