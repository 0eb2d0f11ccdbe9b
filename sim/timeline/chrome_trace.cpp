#include <nlohmann/json.hpp>

#include "kvsieve/sim/flight_counter.h"
#include "kvsieve/sim/timeline.h"
#include "report/clean_text.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr int kProcess = 1;

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
    in_flight.add(task.lane, result.spans[t].begin_us, result.spans[t].end_us, task.bytes);
  }
  in_flight.write(events, kProcess);
  return {{"traceEvents", std::move(events)},
          {"displayTimeUnit", "ms"},
          {"otherData", {{"title", name}, {"origin", "modelled"}}}};
}

}  // namespace kvsieve::sim
