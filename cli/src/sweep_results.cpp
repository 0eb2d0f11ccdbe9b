#include "sweep_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "kvsieve/sim/expression.h"
#include "kvsieve/sim/pareto.h"
#include "kvsieve/traces/error.h"
#include "point_command.h"
#include "terminal.h"

namespace kvsieve::cli {
namespace {

using nlohmann::ordered_json;

std::string cell(const ordered_json& object, const std::string& name) {
  const auto found = object.find(name);
  if (found == object.end()) {
    return "";
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::optional<sim::ExpressionValue> value_in(const SweepResult& result, std::string_view name) {
  if (const auto number = result.metric(name)) {
    return *number;
  }
  if (const auto found = result.options.find(std::string(name)); found != result.options.end()) {
    return sim::value_of(found->get<std::string>());
  }
  return std::nullopt;
}

/// Names in the order of their first appearance.
std::vector<std::string> names_of(const std::vector<SweepResult>& results,
                                  const ordered_json SweepResult::*document) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const SweepResult& result : results) {
    for (const auto& [name, value] : (result.*document).items()) {
      if (seen.insert(name).second) {
        names.push_back(name);
      }
    }
  }
  return names;
}

bool varies(const std::vector<SweepResult>& results, const std::string& name) {
  return std::any_of(results.begin(), results.end(), [&](const SweepResult& result) {
    return cell(result.options, name) != cell(results.front().options, name);
  });
}

}  // namespace

std::optional<double> SweepResult::metric(std::string_view name) const {
  // What people call it.
  const auto found =
      metrics.find(name == "throughput" ? std::string("tokens_per_second") : std::string(name));
  return found != metrics.end() && found->is_number() ? std::optional(found->get<double>())
                                                      : std::nullopt;
}

std::vector<SweepResult> read_results(const sim::SweepStore& store,
                                      const std::vector<std::string>& conditions) {
  std::vector<sim::Expression> parsed;
  for (const std::string& condition : conditions) {
    parsed.emplace_back(condition);
  }
  std::vector<SweepResult> results;
  store.each([&](const sim::SweepRow& row) {
    if (!row.error.empty()) {
      return;
    }
    SweepResult result{row.number, ordered_json::parse(row.options),
                       ordered_json::parse(row.metrics)};
    const auto lookup = [&](std::string_view name) { return value_in(result, name); };
    if (std::all_of(parsed.begin(), parsed.end(),
                    [&](const sim::Expression& condition) { return condition.holds(lookup); })) {
      results.push_back(std::move(result));
    }
  });
  return results;
}

std::vector<SweepResult> on_front(std::vector<SweepResult> results, const std::string& objectives) {
  const std::vector<sim::ParetoObjective> parsed = sim::parse_objectives(objectives);
  std::vector<sim::ParetoDirection> directions;
  for (const sim::ParetoObjective& objective : parsed) {
    directions.push_back(objective.direction);
  }
  std::vector<double> values;
  for (const SweepResult& result : results) {
    for (const sim::ParetoObjective& objective : parsed) {
      values.push_back(
          result.metric(objective.metric).value_or(std::numeric_limits<double>::quiet_NaN()));
    }
  }
  std::vector<SweepResult> front;
  for (const std::int64_t index : sim::pareto_front(values, directions)) {
    front.push_back(std::move(results[static_cast<std::size_t>(index)]));
  }
  return front;
}

std::vector<SweepResult> best_of(std::vector<SweepResult> results, const std::string& objective,
                                 std::size_t count) {
  const std::vector<sim::ParetoObjective> parsed = sim::parse_objectives(objective);
  if (parsed.size() != 1) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' is not one metric", objective),
                "--pareto takes several");
  }
  const sim::ParetoObjective& by = parsed[0];
  std::erase_if(results, [&](const SweepResult& row) { return !row.metric(by.metric); });
  std::stable_sort(results.begin(), results.end(), [&](const SweepResult& a, const SweepResult& b) {
    const double x = *a.metric(by.metric);
    const double y = *b.metric(by.metric);
    return by.direction == sim::ParetoDirection::kMax ? x > y : x < y;
  });
  results.resize(std::min(results.size(), count));
  return results;
}

std::string describe(const std::vector<SweepResult>& results,
                     const std::vector<std::string>& metrics, std::string_view format) {
  std::vector<std::string> options;
  for (const std::string& name : names_of(results, &SweepResult::options)) {
    if (results.size() == 1 || varies(results, name)) {
      options.push_back(name);
    }
  }
  const std::vector<std::string> shown =
      metrics.empty() ? names_of(results, &SweepResult::metrics) : metrics;
  std::vector<std::string> header{"point"};
  header.insert(header.end(), options.begin(), options.end());
  header.insert(header.end(), shown.begin(), shown.end());
  Table table(header);
  for (const SweepResult& result : results) {
    std::vector<std::string> row{std::to_string(result.number)};
    for (const std::string& name : options) {
      row.push_back(cell(result.options, name));
    }
    for (const std::string& name : shown) {
      const auto number = result.metric(name);
      row.push_back(number && format == "table" ? fmt::format("{:.4g}", *number)
                                                : cell(result.metrics, name));
    }
    table.add(row);
  }
  return table.format(format);
}

sim::SweepReport front_report(const std::vector<SweepResult>& results,
                              const std::string& objectives, const std::string& title) {
  const std::vector<sim::ParetoObjective> parsed = sim::parse_objectives(objectives);
  if (parsed.size() != 2) {
    throw Error(ErrorKind::kUsage, fmt::format("--pareto '{}' is not two metrics", objectives),
                "for example --pareto tokens_per_second,l1_loss_relative");
  }
  sim::SweepReport report;
  report.title = title;
  report.x = parsed[0];
  report.y = parsed[1];
  std::vector<std::string> options;
  for (const std::string& name : names_of(results, &SweepResult::options)) {
    if (varies(results, name)) {
      options.push_back(name);
    }
  }
  report.columns = {"point"};
  report.columns.insert(report.columns.end(), options.begin(), options.end());
  report.columns.insert(report.columns.end(), {parsed[0].metric, parsed[1].metric});
  std::set<std::int64_t> front;
  for (const SweepResult& result : on_front(results, objectives)) {
    front.insert(result.number);
  }
  for (const SweepResult& result : results) {
    const auto x = result.metric(parsed[0].metric);
    const auto y = result.metric(parsed[1].metric);
    if (!x || !y) {
      continue;
    }
    sim::SweepReportRow& row = report.rows.emplace_back();
    row.x = *x;
    row.y = *y;
    row.on_front = front.contains(result.number);
    row.name = fmt::format("#{}", result.number);
    row.cells = {std::to_string(result.number)};
    for (const std::string& name : options) {
      row.cells.push_back(cell(result.options, name));
      row.name += fmt::format(", {} {}", name, row.cells.back());
    }
    row.cells.push_back(fmt::format("{:.4g}", *x));
    row.cells.push_back(fmt::format("{:.4g}", *y));
  }
  if (report.rows.empty()) {
    throw Error(ErrorKind::kCheckFailed, "no row has both metrics",
                "`kvsieve sweep export` shows all rows");
  }
  report.subtitle = fmt::format("{} rows", report.rows.size());
  return report;
}

std::string command_of(const SweepResult& result) {
  std::vector<std::pair<std::string, std::string>> options;
  for (const auto& [name, value] : result.options.items()) {
    options.emplace_back(name, value.get<std::string>());
  }
  return command_line(point_command(options));
}

}  // namespace kvsieve::cli
