#include <cmath>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/comparison_report.h"
#include "kvsieve/sim/metric_info.h"
#include "kvsieve/sim/version.h"

namespace kvsieve::sim {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const TimingEvidence& timing) {
  Json json{{"old_repetitions", timing.old_count},
            {"new_repetitions", timing.new_count},
            {"ratio", timing.ratio}};
  if (std::isfinite(timing.ratio_high)) {
    json["ratio_low"] = timing.ratio_low;
    json["ratio_high"] = timing.ratio_high;
  }
  json["p"] = timing.p;
  json["adjusted_p"] = timing.adjusted_p;
  json["exact"] = timing.exact;
  json["inflation"] = timing.inflation;
  json["noise"] = timing.noise;
  return json;
}

Json json_of(const ResultChange& change, const GateRule& rule) {
  Json json{{"case", change.case_name},
            {"metric", change.metric},
            {"verdict", name_of(change.verdict)},
            {"fails", fails(change, rule)}};
  if (change.before) {
    json["before"] = *change.before;
  }
  if (change.after) {
    json["after"] = *change.after;
  }
  if (const std::optional<double> relative = change.relative()) {
    json["relative"] = *relative;
  }
  if (const auto best = metric_info(change.metric).best) {
    json["best"] = *best == ParetoDirection::kMax ? "large" : "small";
  }
  if (!change.reason.empty()) {
    json["reason"] = change.reason;
  }
  if (change.timing) {
    json["timing"] = json_of(*change.timing);
  }
  for (const LineChange& line : change.lines) {
    json["lines"].push_back(
        {{"file", line.file}, {"line", line.line}, {"before", line.before}, {"after", line.after}});
  }
  return json;
}

}  // namespace

Json to_json(const ResultComparison& comparison, const GateRule& rule) {
  const std::string failure = gate_failure(comparison, rule);
  Json json{{"schema", "kvsieve.comparison/1"}, {"tool_version", version()},
            {"kind", name_of(comparison.kind)}, {"old", comparison.old_file},
            {"new", comparison.new_file},       {"passed", failure.empty()}};
  if (!failure.empty()) {
    json["failure"] = failure;
  }
  if (comparison.kind == ResultKind::kTimings) {
    json["threshold"] = comparison.threshold;
    json["alpha"] = comparison.alpha;
  }
  if (comparison.kind == ResultKind::kSweep) {
    json["points"] = comparison.points;
  }
  json["matched"] = comparison.matched.size();
  for (std::size_t i = 0; i < kChangeVerdicts; ++i) {
    json["counts"][name_of(static_cast<ChangeVerdict>(i))] = comparison.counts[i];
  }
  json["set_up"] = Json::array();
  for (const SetUpDifference& difference : comparison.set_up) {
    json["set_up"].push_back({{"what", difference.what},
                              {"before", difference.before},
                              {"after", difference.after},
                              {"machine", difference.machine}});
  }
  json["changes"] = Json::array();
  for (const ResultChange& change : comparison.changes) {
    json["changes"].push_back(json_of(change, rule));
  }
  json["added"] = comparison.added;
  json["removed"] = comparison.removed;
  json["renamed"] = Json::array();
  for (const RenamedCase& one : comparison.renamed) {
    json["renamed"].push_back({{"before", one.before}, {"after", one.after}});
  }
  json["steps"] = Json::array();
  for (const HistoryStep& step : comparison.steps) {
    json["steps"].push_back({{"case", step.case_name},
                             {"metric", step.metric},
                             {"date", step.date},
                             {"file", step.file},
                             {"before", step.before},
                             {"after", step.after},
                             {"p", step.p},
                             {"worse", step.worse}});
  }
  json["warnings"] = comparison.warnings;
  return json;
}

}  // namespace kvsieve::sim
