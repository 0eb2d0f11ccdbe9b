#include "kvsieve/sim/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr std::array<std::string_view, kLanes> kLaneNames{"gpu", "to-host", "to-gpu", "cpu"};
constexpr std::array<std::string_view, kSharedResources> kResourceNames{"sms", "link",
                                                                        "host-memory"};
constexpr std::int32_t kNone = -1;
constexpr double kNever = std::numeric_limits<double>::infinity();

constexpr std::size_t index(Lane lane) {
  return static_cast<std::size_t>(lane);
}
constexpr std::size_t index(std::int32_t task) {
  return static_cast<std::size_t>(task);
}
constexpr auto kLinkIndex = static_cast<std::size_t>(SharedResource::kLink);

std::span<const std::int32_t> dependencies(const Timeline& timeline, const TimelineTask& task) {
  return std::span(timeline.after)
      .subspan(index(task.after_begin), index(task.after_end - task.after_begin));
}

// ---- what a timeline must be -------------------------------------------------------------------

[[noreturn]] void fail(const Timeline& timeline, std::size_t t, std::string_view what) {
  const TimelineTask& task = timeline.tasks[t];
  const bool named = task.name >= 0 && index(task.name) < timeline.names.size();
  throw Error(ErrorKind::kInternal,
              fmt::format("timeline: task {} '{}' (step {}, layer {}, micro-batch {}) {}", t,
                          named ? timeline.names[index(task.name)] : "?", task.step, task.layer,
                          task.micro_batch, what));
}

void check_task(const Timeline& timeline, std::size_t t) {
  const TimelineTask& task = timeline.tasks[t];
  if (task.name < 0 || index(task.name) >= timeline.names.size()) {
    fail(timeline, t, fmt::format("has name {} of {}", task.name, timeline.names.size()));
  }
  if (!(task.us >= 0.0) || !std::isfinite(task.us)) {
    fail(timeline, t, fmt::format("takes {} us, expected a finite time of 0 or more", task.us));
  }
  for (std::size_t r = 0; r < kSharedResources; ++r) {
    if (!(task.uses[r] >= 0.0 && task.uses[r] <= 1.0)) {
      fail(timeline, t,
           fmt::format("uses {} of {}, expected 0 to 1", task.uses[r], kResourceNames[r]));
    }
  }
  if (task.step < 0 || task.micro_batch < 0) {
    fail(timeline, t, "has a negative step or micro-batch");
  }
  if (task.after_begin < 0 || task.after_end < task.after_begin ||
      index(task.after_end) > timeline.after.size()) {
    fail(timeline, t,
         fmt::format("waits for [{}, {}) of a list of {}", task.after_begin, task.after_end,
                     timeline.after.size()));
  }
  for (const std::int32_t before : dependencies(timeline, task)) {
    if (before < 0 || index(before) >= t) {
      fail(timeline, t, fmt::format("waits for task {}, expected an earlier one", before));
    }
  }
}

void check(const Timeline& timeline) {
  double serial_us = 0.0;
  for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
    check_task(timeline, t);
    serial_us += timeline.tasks[t].us;
    // Slowed down, a task takes at most as many times longer as there are lanes.
    if (!std::isfinite(serial_us * kLanes)) {
      fail(timeline, t, "brings the sum of all times beyond what a number holds");
    }
  }
}

// ---- which task starts which -------------------------------------------------------------------

/// The tasks that wait for each task. What a task waits for on its own stream counts too.
class Successors {
 public:
  explicit Successors(const Timeline& timeline)
      : m_begin(timeline.tasks.size() + 1, 0),
        m_waiting(timeline.tasks.size(), 0),
        m_next_of_stream(timeline.tasks.size(), kNone) {
    for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
      const std::span<const std::int32_t> after = dependencies(timeline, timeline.tasks[t]);
      m_waiting[t] += static_cast<std::int32_t>(after.size());
      for (const std::int32_t before : after) {
        ++m_begin[index(before)];
      }
    }
    // Sums up to and including each task; filling counts each down to its first.
    for (std::size_t t = 1; t < m_begin.size(); ++t) {
      m_begin[t] += m_begin[t - 1];
    }
    m_tasks.resize(m_begin.back());
    for (std::size_t t = timeline.tasks.size(); t-- > 0;) {
      for (const std::int32_t before : dependencies(timeline, timeline.tasks[t])) {
        m_tasks[--m_begin[index(before)]] = static_cast<std::int32_t>(t);
      }
    }
    link_streams(timeline);
  }

  [[nodiscard]] bool waits(std::size_t task) const { return m_waiting[task] > 0; }
  [[nodiscard]] std::size_t streams_per_lane() const { return m_streams / kLanes; }

  /// Calls start(task) for each task that waited for nothing else than `task`.
  template <class Start>
  void ended(std::int32_t task, Start start) {
    const auto arrive = [&](std::int32_t waiting) {
      if (--m_waiting[index(waiting)] == 0) {
        start(waiting);
      }
    };
    for (std::size_t i = m_begin[index(task)]; i < m_begin[index(task) + 1]; ++i) {
      arrive(m_tasks[i]);
    }
    if (m_next_of_stream[index(task)] != kNone) {
      arrive(m_next_of_stream[index(task)]);
    }
  }

 private:
  void link_streams(const Timeline& timeline) {
    std::vector<std::int32_t> last;  // [micro-batches, lanes]
    for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
      const TimelineTask& task = timeline.tasks[t];
      const std::size_t stream = index(task.micro_batch) * kLanes + index(task.lane);
      if (stream >= last.size()) {
        last.resize((index(task.micro_batch) + 1) * kLanes, kNone);
      }
      if (last[stream] != kNone) {
        m_next_of_stream[index(last[stream])] = static_cast<std::int32_t>(t);
        ++m_waiting[t];
      }
      last[stream] = static_cast<std::int32_t>(t);
    }
    m_streams = last.size();
  }

  std::vector<std::size_t> m_begin;            ///< [tasks + 1] into m_tasks
  std::vector<std::int32_t> m_tasks;           ///< [dependencies]
  std::vector<std::int32_t> m_waiting;         ///< [tasks] for so many others
  std::vector<std::int32_t> m_next_of_stream;  ///< [tasks]
  std::size_t m_streams = 0;
};

// ---- the run -----------------------------------------------------------------------------------

/// A lane, its running task and the tasks that could run on it.
struct LaneState {
  [[nodiscard]] bool busy() const { return task != kNone; }

  std::int32_t task = kNone;
  std::int32_t last = kNone;  ///< the task that ran before
  double left_us = 0.0;       ///< of its time alone, as of since_us
  double since_us = 0.0;
  double slowdown = 1.0;
  double end_us = kNever;           ///< unless something changes
  std::vector<std::int32_t> ready;  ///< heap, the earliest issued first; at most one a micro-batch
};

class Simulation {
 public:
  explicit Simulation(const Timeline& timeline)
      : m_timeline(timeline),
        m_successors(timeline),
        m_before_on_lane(timeline.tasks.size(), kNone) {
    m_result.spans.resize(timeline.tasks.size());
    for (LaneState& lane : m_lanes) {
      lane.ready.reserve(m_successors.streams_per_lane());
    }
  }

  TimelineResult run() {
    for (std::size_t t = 0; t < m_timeline.tasks.size(); ++t) {
      if (!m_successors.waits(t)) {
        make_ready(static_cast<std::int32_t>(t));
      }
    }
    while (true) {
      start_ready();
      share();
      double next_us = kNever;
      for (const LaneState& lane : m_lanes) {
        next_us = std::min(next_us, lane.end_us);
      }
      if (next_us == kNever) {
        break;
      }
      if (!computes()) {
        m_result.exposed_transfer_us += next_us - m_now_us;
      }
      m_now_us = next_us;
      for (LaneState& lane : m_lanes) {
        if (lane.end_us == m_now_us) {
          end_task(lane);
        }
      }
    }
    m_result.total_us = m_now_us;
    sum_up();
    find_critical_path();
    return std::move(m_result);
  }

 private:
  [[nodiscard]] const TimelineTask& task_at(std::int32_t t) const {
    return m_timeline.tasks[index(t)];
  }

  void make_ready(std::int32_t t) {
    std::vector<std::int32_t>& ready = m_lanes[index(task_at(t).lane)].ready;
    ready.push_back(t);
    std::push_heap(ready.begin(), ready.end(), std::greater<>());
  }

  /// Starts what can start now, in the order of issue: a task that takes no time makes only later
  /// ones ready.
  void start_ready() {
    while (true) {
      LaneState* first = nullptr;
      for (LaneState& lane : m_lanes) {
        if (!lane.busy() && !lane.ready.empty() &&
            (first == nullptr || lane.ready.front() < first->ready.front())) {
          first = &lane;
        }
      }
      if (first == nullptr) {
        return;
      }
      std::pop_heap(first->ready.begin(), first->ready.end(), std::greater<>());
      const std::int32_t t = first->ready.back();
      first->ready.pop_back();
      start_task(*first, t);
    }
  }

  void start_task(LaneState& lane, std::int32_t t) {
    m_result.spans[index(t)].begin_us = m_now_us;
    m_before_on_lane[index(t)] = lane.last;
    lane.task = t;
    lane.left_us = task_at(t).us;
    lane.since_us = m_now_us;
    lane.slowdown = 1.0;
    lane.end_us = m_now_us + lane.left_us;
    if (lane.left_us == 0.0) {
      end_task(lane);
    }
  }

  void end_task(LaneState& lane) {
    const std::int32_t t = lane.task;
    m_result.spans[index(t)].end_us = m_now_us;
    lane.last = t;
    lane.task = kNone;
    lane.end_us = kNever;
    m_successors.ended(t, [this](std::int32_t ready) { make_ready(ready); });
  }

  /// Gives each running task its part of what it shares. A task whose part stays the same keeps the
  /// end that it was given when that last changed, so that nothing is lost to rounding.
  void share() {
    std::array<double, kSharedResources> sums{};
    for (const LaneState& lane : m_lanes) {
      if (lane.busy()) {
        for (std::size_t r = 0; r < kSharedResources; ++r) {
          sums[r] += task_at(lane.task).uses[r];
        }
      }
    }
    for (LaneState& lane : m_lanes) {
      if (!lane.busy()) {
        continue;
      }
      double slowdown = 1.0;
      for (std::size_t r = 0; r < kSharedResources; ++r) {
        if (task_at(lane.task).uses[r] > 0.0) {
          slowdown = std::max(slowdown, sums[r]);
        }
      }
      if (slowdown != lane.slowdown) {
        const double done_us = (m_now_us - lane.since_us) / lane.slowdown;
        lane.left_us = std::max(0.0, lane.left_us - done_us);
        lane.since_us = m_now_us;
        lane.slowdown = slowdown;
        lane.end_us = m_now_us + lane.left_us * slowdown;
      }
    }
  }

  /// Whether a task runs that does not transfer.
  [[nodiscard]] bool computes() const {
    const LaneState& gpu = m_lanes[index(Lane::kGpu)];
    return m_lanes[index(Lane::kCpu)].busy() ||
           (gpu.busy() && task_at(gpu.task).uses[kLinkIndex] == 0.0);
  }

  /// A task gets of a resource what it uses times its rate, and its rate sums up to its time alone.
  void sum_up() {
    for (std::size_t t = 0; t < m_timeline.tasks.size(); ++t) {
      const TimelineTask& task = m_timeline.tasks[t];
      const TimelineSpan& span = m_result.spans[t];
      m_result.busy_us[index(task.lane)] += span.end_us - span.begin_us;
      for (std::size_t r = 0; r < kSharedResources; ++r) {
        m_result.utilisation[r] += task.uses[r] * task.us;
      }
    }
    for (double& utilisation : m_result.utilisation) {
      utilisation = m_result.total_us > 0.0 ? std::min(1.0, utilisation / m_result.total_us) : 0.0;
    }
  }

  void find_critical_path() {
    const std::vector<TimelineSpan>& spans = m_result.spans;
    const auto length = [&](std::int32_t t) {
      return spans[index(t)].end_us - spans[index(t)].begin_us;
    };
    // The longest task that ends then, of equally long ones the one issued first.
    const auto choose = [&](std::int32_t& chosen, std::int32_t t, double end_us) {
      if (spans[index(t)].end_us == end_us && (chosen == kNone || length(t) > length(chosen) ||
                                               (length(t) == length(chosen) && t < chosen))) {
        chosen = t;
      }
    };
    std::int32_t next = kNone;
    for (std::size_t t = 0; t < spans.size(); ++t) {
      choose(next, static_cast<std::int32_t>(t), m_result.total_us);
    }
    // Each begins at an event: the end of the last task that it waited for, on its lane or as a
    // dependency.
    while (next != kNone) {
      m_result.critical_path.push_back(next);
      const std::int32_t t = next;
      next = kNone;
      if (m_before_on_lane[index(t)] != kNone) {
        choose(next, m_before_on_lane[index(t)], spans[index(t)].begin_us);
      }
      for (const std::int32_t before : dependencies(m_timeline, task_at(t))) {
        choose(next, before, spans[index(t)].begin_us);
      }
    }
    std::reverse(m_result.critical_path.begin(), m_result.critical_path.end());
  }

  const Timeline& m_timeline;
  Successors m_successors;
  std::array<LaneState, kLanes> m_lanes;
  std::vector<std::int32_t> m_before_on_lane;  ///< [tasks]
  TimelineResult m_result;
  double m_now_us = 0.0;
};

}  // namespace

std::string_view name_of(Lane lane) noexcept {
  return kLaneNames[index(lane)];
}

std::string_view name_of(SharedResource resource) noexcept {
  return kResourceNames[static_cast<std::size_t>(resource)];
}

TimelineResult simulate(const Timeline& timeline) {
  check(timeline);
  return Simulation(timeline).run();
}

std::vector<double> step_times_us(const Timeline& timeline, const TimelineResult& result) {
  std::vector<double> ends;
  for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
    const std::size_t step = index(timeline.tasks[t].step);
    if (step >= ends.size()) {
      ends.resize(step + 1, 0.0);
    }
    ends[step] = std::max(ends[step], result.spans[t].end_us);
  }
  double last_us = 0.0;
  for (double& end : ends) {
    const double end_us = std::max(last_us, end);
    end = end_us - last_us;
    last_us = end_us;
  }
  return ends;
}

}  // namespace kvsieve::sim
