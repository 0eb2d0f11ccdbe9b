#pragma once
// A sweep's rows as a report: the front between two objectives drawn, and its rows as a table.

#include <string>
#include <vector>

#include "kvsieve/sim/pareto.h"

namespace kvsieve::sim {

/// A row as the report shows it.
struct SweepReportRow {
  std::string name;                ///< "#12 ada-snapkv, budget 20%"
  std::vector<std::string> cells;  ///< one a column
  double x = 0.0;                  ///< the first objective
  double y = 0.0;                  ///< the second
  bool on_front = false;
};

struct SweepReport {
  std::string title;
  std::string subtitle;  ///< what the sweep is
  ParetoObjective x;
  ParetoObjective y;
  std::vector<std::string> columns;
  std::vector<SweepReportRow> rows;  ///< that have both objectives
};

/// One HTML file without scripts, or GitHub-flavoured Markdown. The drawing shows all rows, at most
/// 2,000 of those that are not on the front; the table has the front alone. The same report gives
/// the same bytes.
[[nodiscard]] std::string html_report(const SweepReport& report);
[[nodiscard]] std::string markdown_report(const SweepReport& report);

}  // namespace kvsieve::sim
