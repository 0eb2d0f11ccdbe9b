#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/timeline.h"
#include "report/clean_text.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr int kProcess = 1;

/// Directions of the link, as the counter calls them.
constexpr std::array<Lane, 2> kDirections{Lane::kToHost, Lane::kToGpu};

ordered_json metadata(const char* name, int thread, ordered_json args) {
  return {
      {"name", name}, {"ph", "M"}, {"pid", kProcess}, {"tid", thread}, {"args", std::move(args)}};
}

ordered_json slice(const Timeline& timeline, const TimelineTask& task, const TimelineSpan& span,
                   bool critical) {
  ordered_json args = {{"step", task.step}};
  if (task.layer >= 0) {
    args["layer"] = task.layer;
  }
  args["micro_batch"] = task.micro_batch;
  if (task.bytes > 0) {
    args["bytes"] = task.bytes;
    args["pieces"] = task.pieces;
  }
  args["alone_us"] = task.us;
  args["critical"] = critical;
  return {{"name", timeline.names[static_cast<std::size_t>(task.name)]},
          {"cat", critical ? "critical" : "other"},
          {"ph", "X"},
          {"ts", span.begin_us},
          {"dur", span.end_us - span.begin_us},
          {"pid", kProcess},
          {"tid", static_cast<int>(task.lane)},
          {"args", std::move(args)}};
}

/// The bytes in flight a direction, an event each time that they change.
class FlightCounter {
 public:
  void add(const TimelineTask& task, const TimelineSpan& span) {
    // What the host's cores gather does not cross the link; what a kernel does comes from the host.
    if (task.bytes == 0 || task.lane == Lane::kCpu) {
      return;
    }
    const std::size_t direction = task.lane == Lane::kToHost ? 0 : 1;
    m_changes.push_back({span.begin_us, direction, task.bytes});
    m_changes.push_back({span.end_us, direction, -task.bytes});
  }

  void write(ordered_json& events) {
    std::sort(m_changes.begin(), m_changes.end(),
              [](const Change& a, const Change& b) { return a.us < b.us; });
    std::array<std::int64_t, kDirections.size()> bytes{};
    std::array<std::int64_t, kDirections.size()> written{};
    for (std::size_t i = 0; i < m_changes.size(); ++i) {
      bytes[m_changes[i].direction] += m_changes[i].bytes;
      const bool last = i + 1 == m_changes.size() || m_changes[i + 1].us > m_changes[i].us;
      if (!last || bytes == written) {
        continue;
      }
      written = bytes;
      ordered_json args = ordered_json::object();
      for (std::size_t d = 0; d < kDirections.size(); ++d) {
        args[std::string(name_of(kDirections[d]))] = bytes[d];
      }
      events.push_back({{"name", "bytes in flight"},
                        {"ph", "C"},
                        {"ts", m_changes[i].us},
                        {"pid", kProcess},
                        {"args", std::move(args)}});
    }
  }

 private:
  struct Change {
    double us;
    std::size_t direction;
    std::int64_t bytes;
  };
  std::vector<Change> m_changes;
};

}  // namespace

ordered_json chrome_trace(const Timeline& timeline, const TimelineResult& result,
                          std::string_view title, std::int32_t first_step, std::int32_t last_step) {
  const std::string name = clean_text(title);
  ordered_json events = ordered_json::array();
  events.push_back(metadata("process_name", 0, {{"name", name}}));
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const auto thread = static_cast<int>(lane);
    events.push_back(metadata("thread_name", thread, {{"name", name_of(static_cast<Lane>(lane))}}));
    events.push_back(metadata("thread_sort_index", thread, {{"sort_index", thread}}));
  }
  std::vector<bool> critical(timeline.tasks.size(), false);
  for (const std::int32_t task : result.critical_path) {
    critical[static_cast<std::size_t>(task)] = true;
  }
  FlightCounter in_flight;
  for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
    const TimelineTask& task = timeline.tasks[t];
    if (task.step < first_step || task.step >= last_step) {
      continue;
    }
    events.push_back(slice(timeline, task, result.spans[t], critical[t]));
    in_flight.add(task, result.spans[t]);
  }
  in_flight.write(events);
  return {{"traceEvents", std::move(events)},
          {"displayTimeUnit", "ms"},
          {"otherData", {{"title", name}, {"origin", "modelled"}}}};
}

}  // namespace kvsieve::sim
