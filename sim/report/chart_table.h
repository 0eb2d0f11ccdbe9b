#pragma once
// The numbers of a chart as a table, for readers who cannot or will not look at a drawing.

#include "chart.h"
#include "report_model.h"

namespace kvsieve::sim {

[[nodiscard]] Table table_of(const Chart& chart);

/// A figure with the table of its chart.
[[nodiscard]] Figure make_figure(std::string title, std::string note, Chart chart,
                                 bool wide = false);

}  // namespace kvsieve::sim
