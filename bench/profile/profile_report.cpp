#include "kvsieve/profile/profile_report.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

namespace kvsieve::profile {
namespace {

using nlohmann::ordered_json;

std::string lane_name(sim::Lane lane) {
  return std::string(sim::name_of(lane));
}

ordered_json lanes_to_json(const MeasuredTimeline& timeline) {
  ordered_json json = ordered_json::array();
  for (std::size_t l = 0; l < sim::kLanes; ++l) {
    const LaneFigures& lane = timeline.lanes[l];
    json.push_back({{"lane", lane_name(static_cast<sim::Lane>(l))},
                    {"busy_us", lane.busy_us},
                    {"gap_us", lane.gap_us},
                    {"longest_gap_us", lane.longest_gap_us},
                    {"bytes", lane.bytes},
                    {"pieces", lane.pieces}});
  }
  return json;
}

ordered_json to_json(const OperationSummary& summary) {
  return {{"name", summary.name},
          {"lane", lane_name(summary.lane)},
          {"operations", summary.operations},
          {"activities", summary.activities},
          {"us", summary.us},
          {"median_us", summary.median_us},
          {"longest_us", summary.longest_us},
          {"bytes", summary.bytes},
          {"pieces", summary.pieces},
          {"call_us", summary.call_us}};
}

ordered_json to_json(const StageError& stage) {
  return {{"stage", stage.stage},
          {"lane", lane_name(stage.lane)},
          {"n", stage.figures.n},
          {"measured_median_us", stage.measured_median_us},
          {"gap_median_us", stage.gap_median_us},
          {"modelled_median_us", stage.modelled_median_us},
          {"median_error", stage.figures.median_error},
          {"p95", stage.figures.p95},
          {"bias", stage.figures.bias},
          {"measured_bytes", stage.measured_bytes},
          {"modelled_bytes", stage.modelled_bytes}};
}

ordered_json to_json(const OperationPair& pair) {
  return {{"stage", pair.stage},
          {"lane", lane_name(pair.lane)},
          {"step", pair.step},
          {"layer", pair.layer},
          {"micro_batch", pair.micro_batch},
          {"measured_us", pair.measured_us},
          {"gap_us", pair.gap_us},
          {"modelled_us", pair.modelled_us},
          {"error", pair.error()},
          {"measured_bytes", pair.measured_bytes},
          {"modelled_bytes", pair.modelled_bytes}};
}

ordered_json to_json(const UnpairedOperations& unpaired) {
  return {{"name", unpaired.name},
          {"lane", lane_name(unpaired.lane)},
          {"operations", unpaired.operations},
          {"us", unpaired.us}};
}

template <class Item>
ordered_json list_to_json(const std::vector<Item>& items) {
  ordered_json json = ordered_json::array();
  for (const Item& item : items) {
    json.push_back(to_json(item));
  }
  return json;
}

}  // namespace

std::vector<OperationSummary> summarise(const MeasuredTimeline& timeline) {
  std::map<std::pair<sim::Lane, std::string>, std::pair<OperationSummary, std::vector<double>>> all;
  for (const MeasuredOperation& operation : timeline.operations) {
    auto& [summary, times] = all[{operation.lane, operation.name}];
    summary.name = operation.name;
    summary.lane = operation.lane;
    ++summary.operations;
    summary.activities += operation.activities;
    summary.us += operation.busy_us;
    summary.longest_us = std::max(summary.longest_us, operation.busy_us);
    summary.bytes += operation.bytes;
    summary.pieces += operation.pieces;
    summary.call_us += operation.call_us;
    times.push_back(operation.busy_us);
  }
  std::vector<OperationSummary> summaries;
  for (auto& [key, entry] : all) {
    auto& [summary, times] = entry;
    std::sort(times.begin(), times.end());
    summary.median_us = (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2.0;
    summaries.push_back(std::move(summary));
  }
  std::stable_sort(summaries.begin(), summaries.end(),
                   [](const OperationSummary& a, const OperationSummary& b) {
                     return std::make_pair(a.lane, -a.us) < std::make_pair(b.lane, -b.us);
                   });
  return summaries;
}

ordered_json profile_document(const ActivityRecording& recording, const MeasuredTimeline& timeline,
                              const std::optional<Pairing>& pairing, const std::string& hardware) {
  ordered_json json = {{"schema", "kvsieve.profile/1"},
                       {"origin", "measured"},
                       {"tool_version", recording.run.tool_version},
                       {"words", recording.run.words},
                       {"trace", recording.run.trace_name},
                       {"trace_hash", recording.run.trace_hash},
                       {"device", timeline.device},
                       {"cupti_version", recording.cupti_version},
                       {"total_us", timeline.total_us},
                       {"clock_shift_us", timeline.clock_shift_us},
                       {"notes", timeline.notes},
                       {"lanes", lanes_to_json(timeline)},
                       {"operations", list_to_json(summarise(timeline))}};
  if (pairing) {
    json["pairing"] = {{"hardware", hardware},
                       {"stages", list_to_json(pairing->stages)},
                       {"pairs", list_to_json(pairing->pairs)},
                       {"measured_only", list_to_json(pairing->measured_only)},
                       {"modelled_only", list_to_json(pairing->modelled_only)}};
  }
  return json;
}

}  // namespace kvsieve::profile
