#include "sim/timeline/timeline_reference.h"

#include <algorithm>
#include <cstdint>

namespace kvsieve::sim::tests {
namespace {

enum class State { kWaiting, kRunning, kEnded };

struct Progress {
  State state = State::kWaiting;
  long double left_us = 0.0L;
};

class Reference {
 public:
  explicit Reference(const Timeline& timeline)
      : m_timeline(timeline), m_progress(timeline.tasks.size()) {
    m_result.spans.resize(timeline.tasks.size());
    for (std::size_t t = 0; t < m_progress.size(); ++t) {
      m_progress[t].left_us = timeline.tasks[t].us;
    }
  }

  TimelineResult run() {
    start();
    while (running()) {
      pass_until_one_ends();
      start();
    }
    m_result.total_us = static_cast<double>(m_now_us);
    return m_result;
  }

 private:
  [[nodiscard]] bool running() const {
    return std::any_of(m_progress.begin(), m_progress.end(),
                       [](const Progress& task) { return task.state == State::kRunning; });
  }

  [[nodiscard]] bool can_start(std::size_t t) const {
    const TimelineTask& task = m_timeline.tasks[t];
    for (std::size_t other = 0; other < m_progress.size(); ++other) {
      const TimelineTask& that = m_timeline.tasks[other];
      if (that.lane != task.lane) {
        continue;
      }
      const bool before = other < t && that.micro_batch == task.micro_batch;
      if (m_progress[other].state == State::kRunning ||
          (before && m_progress[other].state != State::kEnded)) {
        return false;
      }
    }
    for (std::int32_t i = task.after_begin; i < task.after_end; ++i) {
      const auto other = static_cast<std::size_t>(m_timeline.after[static_cast<std::size_t>(i)]);
      if (m_progress[other].state != State::kEnded) {
        return false;
      }
    }
    return true;
  }

  void start() {
    for (std::size_t t = 0; t < m_progress.size(); ++t) {
      if (m_progress[t].state == State::kWaiting && can_start(t)) {
        m_result.spans[t].begin_us = static_cast<double>(m_now_us);
        m_progress[t].state = State::kRunning;
        if (m_timeline.tasks[t].us == 0.0) {
          end(t);
        }
      }
    }
  }

  void end(std::size_t t) {
    m_progress[t].state = State::kEnded;
    m_result.spans[t].end_us = static_cast<double>(m_now_us);
  }

  [[nodiscard]] long double rate(std::size_t t) const {
    long double rate = 1.0L;
    for (std::size_t r = 0; r < kSharedResources; ++r) {
      if (m_timeline.tasks[t].uses[r] == 0.0) {
        continue;
      }
      long double sum = 0.0L;
      for (std::size_t other = 0; other < m_progress.size(); ++other) {
        if (m_progress[other].state == State::kRunning) {
          sum += m_timeline.tasks[other].uses[r];
        }
      }
      rate = std::min(rate, 1.0L / std::max(1.0L, sum));
    }
    return rate;
  }

  void pass_until_one_ends() {
    std::vector<std::size_t> tasks;
    for (std::size_t t = 0; t < m_progress.size(); ++t) {
      if (m_progress[t].state == State::kRunning) {
        tasks.push_back(t);
      }
    }
    const auto passes = [&](std::size_t t) { return m_progress[t].left_us / rate(t); };
    const long double us =
        passes(*std::min_element(tasks.begin(), tasks.end(), [&](std::size_t a, std::size_t b) {
          return passes(a) < passes(b);
        }));
    bool moves = false;
    bool computes = false;
    std::vector<std::size_t> ending;
    std::vector<long double> done_us;
    for (const std::size_t t : tasks) {
      const TimelineTask& task = m_timeline.tasks[t];
      m_busy_us[static_cast<std::size_t>(task.lane)] += us;
      for (std::size_t r = 0; r < kSharedResources; ++r) {
        m_granted_us[r] += rate(t) * task.uses[r] * us;
      }
      const bool transfers = task.lane == Lane::kToHost || task.lane == Lane::kToGpu ||
                             (task.lane == Lane::kGpu && task.uses[1] > 0.0);
      moves = moves || transfers;
      computes = computes || !transfers;
      done_us.push_back(rate(t) * us);
      if (passes(t) <= us) {
        ending.push_back(t);
      }
    }
    m_now_us += us;
    m_exposed_us += moves && !computes ? us : 0.0L;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      m_progress[tasks[i]].left_us -= done_us[i];
    }
    for (const std::size_t t : ending) {
      end(t);
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      m_result.busy_us[lane] = static_cast<double>(m_busy_us[lane]);
    }
    for (std::size_t r = 0; r < kSharedResources; ++r) {
      m_result.utilisation[r] = static_cast<double>(m_granted_us[r] / m_now_us);
    }
    m_result.exposed_transfer_us = static_cast<double>(m_exposed_us);
  }

  const Timeline& m_timeline;
  std::vector<Progress> m_progress;
  TimelineResult m_result;
  std::array<long double, kLanes> m_busy_us{};
  std::array<long double, kSharedResources> m_granted_us{};
  long double m_exposed_us = 0.0L;
  long double m_now_us = 0.0L;
};

}  // namespace

TimelineResult reference_simulate(const Timeline& timeline) {
  return Reference(timeline).run();
}

}  // namespace kvsieve::sim::tests
