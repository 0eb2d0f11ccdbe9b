#pragma once
// Draws charts (sim/chart.h) into a QCustomPlot.

#include <QFont>
#include <QPalette>
#include <vector>

#include "kvsieve/sim/chart.h"

class QCustomPlot;

namespace kvsieve::gui {

/// An interval around each value of a series.
struct Band {
  std::size_t series = 0;
  std::vector<double> low;
  std::vector<double> high;
};

struct ChartStyle {
  QPalette palette;
  QFont font;
  bool log_x = false;
  bool log_y = false;
  std::vector<Band> bands;  ///< of a LineChart or BarChart
};

/// Takes everything out of a plot and colours its frame.
void clear_chart(QCustomPlot& plot, const ChartStyle& style);

/// Draws a BarChart, RatioChart, LineChart, ScatterChart or AgreementChart into an empty plot and
/// sets its axes to show all of it. Throws Error(kInternal) for the other charts.
void draw_chart(QCustomPlot& plot, const sim::Chart& chart, const ChartStyle& style);

/// Puts as many of a legend's entries side by side as fit into `width`.
void arrange_legend(QCustomPlot& plot, int width);

}  // namespace kvsieve::gui
