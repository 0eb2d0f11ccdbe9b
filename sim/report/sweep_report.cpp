#include "kvsieve/sim/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "clean_text.h"
#include "html_page.h"
#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/version.h"
#include "markdown_page.h"

namespace kvsieve::sim {
namespace {

constexpr std::size_t kOthersDrawn = 2000;

std::string direction_text(const ParetoObjective& objective) {
  return fmt::format("{} ({} is better)", objective.metric,
                     objective.direction == ParetoDirection::kMax ? "more" : "less");
}

Figure front_figure(const SweepReport& report) {
  ScatterChart chart;
  chart.x_name = report.x.metric;
  chart.y_name = report.y.metric;
  chart.x_unit = Unit::kNumber;
  chart.y_unit = Unit::kNumber;
  std::size_t others = 0;
  for (const SweepReportRow& row : report.rows) {
    if (row.on_front || others++ < kOthersDrawn) {
      chart.points.push_back(
          {"", clean_text(row.name), row.x, row.y, row.on_front ? Ink::kAccent : Ink::kGrey});
    }
  }
  return make_figure(
      "Pareto front",
      fmt::format(
          "A point a row of the sweep: {} across, {} up. No row beats a coloured one in both.",
          direction_text(report.x), direction_text(report.y)),
      std::move(chart));
}

Table front_table(const SweepReport& report) {
  Table table{{}, {}, "Rows on the front"};
  for (const std::string& column : report.columns) {
    table.columns.push_back({.title = column, .numeric = false});
  }
  for (const SweepReportRow& row : report.rows) {
    if (row.on_front) {
      std::vector<Cell>& cells = table.rows.emplace_back();
      for (const std::string& text : row.cells) {
        cells.push_back({clean_text(text)});
      }
    }
  }
  return table;
}

Report page_of(const SweepReport& report) {
  Report page;
  page.title = clean_text(report.title);
  page.subtitle = clean_text(report.subtitle);
  page.tool = fmt::format("kvsieve {}", version());
  page.made_of = "a sweep store";
  page.definitions =
      "Definitions: a row is on the front if no other one is as good in both objectives and better "
      "in one.";
  page.origins = {{"captured", "computed from a model's trace: losses, recall, kept shares"},
                  {"modelled", "by the cost model: times, throughput, memory, transfers"}};
  const auto front = std::count_if(report.rows.begin(), report.rows.end(),
                                   [](const SweepReportRow& row) { return row.on_front; });
  page.comparison.title = "The front";
  page.comparison.text = {fmt::format("{} of {} rows are on the front of {} and {}.", front,
                                      report.rows.size(), direction_text(report.x),
                                      direction_text(report.y))};
  page.comparison.figures.push_back(front_figure(report));
  page.comparison.tables.push_back(front_table(report));
  return page;
}

}  // namespace

std::string html_report(const SweepReport& report) {
  return html_page(page_of(report));
}
std::string markdown_report(const SweepReport& report) {
  return markdown_page(page_of(report));
}

}  // namespace kvsieve::sim
