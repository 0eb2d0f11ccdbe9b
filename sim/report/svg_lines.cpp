#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

constexpr double kPlotHeight = 170.0;
constexpr std::size_t kMostTips = 600;  // hover targets of a line

struct Box {
  double left;
  double top;
  double right;
  double bottom;

  [[nodiscard]] bool touches(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

/// Ticks below a plot with a numeric horizontal axis; returns the y below them.
double draw_number_axis(SvgCanvas& canvas, const Plot& plot, const Axis& axis, Unit unit,
                        const std::string& name) {
  for (const double tick : axis.ticks) {
    const double x = axis.place(tick, plot.left, plot.right);
    canvas.line(x, plot.bottom, x, plot.bottom + 4.0, "base");
    canvas.text(x, plot.bottom + 17.0, tick_text(tick, axis.step, axis.high, unit), "tick",
                Anchor::kMiddle);
  }
  canvas.text(0.5 * (plot.left + plot.right), plot.bottom + 34.0, name, "label", Anchor::kMiddle);
  return plot.bottom + 41.0;
}

void draw_line(SvgCanvas& canvas, const LineChart& chart, const Series& series, const Axis& x_axis,
               const Axis& y_axis, const Plot& plot) {
  std::string data;
  bool pen_down = false;
  const std::size_t points = std::min(series.values.size(), chart.x.size());
  for (std::size_t i = 0; i < points; ++i) {
    if (!series.values[i]) {
      pen_down = false;
      continue;
    }
    const double x = x_axis.place(chart.x[i], plot.left, plot.right);
    const double y = y_axis.place(*series.values[i], plot.bottom, plot.top);
    data += fmt::format("{}{} {}", pen_down ? "L" : "M", coordinate(x), coordinate(y));
    pen_down = true;
  }
  canvas.path(data, fmt::format("stroke {}", stroke_class(series.ink)));
  if (points > kMostTips) {
    return;
  }
  for (std::size_t i = 0; i < points; ++i) {
    if (series.values[i]) {
      canvas.circle(
          x_axis.place(chart.x[i], plot.left, plot.right),
          y_axis.place(*series.values[i], plot.bottom, plot.top), 4.0,
          fmt::format("dot {}", fill_class(series.ink)),
          fmt::format("{} {}, {}: {}", chart.x_name, number_text(chart.x[i], Unit::kTokens),
                      series.name, exact_text(*series.values[i], chart.unit)));
    }
  }
}

/// Where a label can stand beside its point, best first.
std::vector<Box> label_places(double x, double y, double width) {
  constexpr double kGap = 9.0;
  const auto box = [&](double left, double middle) {
    return Box{left, middle - 8.0, left + width, middle + 8.0};
  };
  return {box(x + kGap, y),
          box(x - kGap - width, y),
          box(x + kGap, y - 14.0),
          box(x + kGap, y + 14.0),
          box(x - kGap - width, y - 14.0),
          box(x - kGap - width, y + 14.0),
          box(x - 0.5 * width, y - 18.0),
          box(x - 0.5 * width, y + 18.0)};
}

/// Names beside the points where there is room, else numbers.
void draw_point_labels(SvgCanvas& canvas, const ScatterChart& chart,
                       const std::vector<std::array<double, 2>>& places) {
  std::vector<Box> taken;
  for (const auto& [x, y] : places) {
    taken.push_back({x - 6.0, y - 6.0, x + 6.0, y + 6.0});
  }
  const auto is_free = [&](const Box& box) {
    return box.left >= 0.0 && box.right <= canvas.width() && box.top >= 0.0 &&
           std::none_of(taken.begin(), taken.end(),
                        [&](const Box& other) { return box.touches(other); });
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    const ScatterChart::Point& point = chart.points[i];
    const auto [x, y] = places[i];
    bool drawn = false;
    for (const std::string& text : {point.label + "  " + point.name, point.label}) {
      for (const Box& box : label_places(x, y, text_width(text))) {
        if (!drawn && is_free(box)) {
          canvas.text(box.left, box.bottom - 4.0, text, "point-label");
          taken.push_back(box);
          drawn = true;
        }
      }
    }
  }
}

}  // namespace

double draw(SvgCanvas& canvas, const LineChart& chart) {
  double high = 0.0;
  std::vector<LegendEntry> legend;
  for (const Series& series : chart.series) {
    high = std::max(high, range_of(series.values).high);
    legend.push_back({series.name, series.ink, LegendEntry::Mark::kLine});
  }
  const double top = legend.size() < 2 ? 8.0 : draw_legend(canvas, 0.0, 0.0, legend) + 8.0;
  Plot plot{0.0, top, canvas.width() - 12.0, top + kPlotHeight};
  const Axis y_axis = round_axis(0.0, chart.top.value_or(high), 4, chart.unit);
  draw_value_axis(canvas, plot, y_axis, chart.unit);
  const auto [first, last] = std::minmax_element(chart.x.begin(), chart.x.end());
  const Axis x_axis = chart.x.empty() ? inner_axis(0.0, 1.0, 5, Unit::kTokens)
                                      : inner_axis(*first, *last, 5, Unit::kTokens);
  for (const Series& series : chart.series) {
    draw_line(canvas, chart, series, x_axis, y_axis, plot);
  }
  return draw_number_axis(canvas, plot, x_axis, Unit::kTokens, chart.x_name);
}

double draw(SvgCanvas& canvas, const ScatterChart& chart) {
  constexpr double kHeight = 230.0;
  double right = 0.0;
  double high = 0.0;
  for (const ScatterChart::Point& point : chart.points) {
    right = std::max(right, point.x);
    high = std::max(high, point.y);
  }
  canvas.text(0.0, 12.0, chart.y_name, "label");
  Plot plot{0.0, 26.0, canvas.width() - 24.0, 26.0 + kHeight};
  const Axis y_axis = round_axis(0.0, high, 4, chart.y_unit);
  const Axis x_axis = round_axis(0.0, right, 6, chart.x_unit);
  draw_value_axis(canvas, plot, y_axis, chart.y_unit);
  std::vector<std::array<double, 2>> places;
  for (const ScatterChart::Point& point : chart.points) {
    const double x = x_axis.place(point.x, plot.left, plot.right);
    const double y = y_axis.place(point.y, plot.bottom, plot.top);
    places.push_back({x, y});
    canvas.circle(x, y, 5.0, fill_class(point.ink),
                  fmt::format("{}: {} {}, {} {}", point.name, exact_text(point.x, chart.x_unit),
                              chart.x_name, exact_text(point.y, chart.y_unit), chart.y_name));
  }
  draw_point_labels(canvas, chart, places);
  return draw_number_axis(canvas, plot, x_axis, chart.x_unit, chart.x_name);
}

}  // namespace kvsieve::sim
