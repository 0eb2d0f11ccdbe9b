#pragma once
// Drawing a chart as SVG that takes its colours from the page around it.

#include <string>
#include <string_view>

#include "kvsieve/sim/chart_axis.h"
#include "report_model.h"
#include "svg_canvas.h"

namespace kvsieve::sim {

/// @param id unique in the page, letters, digits and hyphens
[[nodiscard]] std::string svg_chart(const Figure& figure, std::string_view id);

/// One sentence on what a chart shows, for those who do not see it.
[[nodiscard]] std::string describe(const Chart& chart);

// One drawing a kind of chart; each returns the height that it used.
[[nodiscard]] double draw(SvgCanvas& canvas, const HeatMap& map);           // svg_heat_map.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const BarChart& chart);        // svg_bars.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const RatioChart& chart);      // svg_bars.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const BudgetChart& chart);     // svg_budgets.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const LineChart& chart);       // svg_lines.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const ScatterChart& chart);    // svg_lines.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const AgreementChart& chart);  // svg_agreement.cpp
[[nodiscard]] double draw(SvgCanvas& canvas, const TokenStrip& strip);      // svg_token_strip.cpp

/// The area in which a chart with axes draws its data.
struct Plot {
  double left = 0.0;
  double top = 0.0;
  double right = 0.0;
  double bottom = 0.0;
};

/// Grid lines and labels of a vertical axis from plot.bottom up; moves plot.left to make room.
void draw_value_axis(SvgCanvas& canvas, Plot& plot, const Axis& axis, Unit unit);

/// Labels of slots below the plot, thinned out where they would touch, with the name of what they
/// count. Returns the y below them.
[[nodiscard]] double draw_slot_labels(SvgCanvas& canvas, const Plot& plot,
                                      const std::vector<std::string>& labels,
                                      const std::string& name);

}  // namespace kvsieve::sim
