#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

constexpr double kPlotHeight = 360.0;
constexpr double kRadius = 2.4;

/// Powers of ten that enclose all points.
Range decades(const AgreementChart& chart) {
  Range range{0.0, 1.0};
  bool first = true;
  for (const AgreementChart::Point& point : chart.points) {
    const double low = std::floor(std::log10(std::min(point.x, point.y)));
    const double high = std::ceil(std::log10(std::max(point.x, point.y)));
    range.low = first ? low : std::min(range.low, low);
    range.high = std::max(first ? low + 1.0 : range.high, high);
    first = false;
  }
  return range;
}

}  // namespace

double draw(SvgCanvas& canvas, const AgreementChart& chart) {
  std::vector<LegendEntry> legend;
  for (const AgreementChart::Kind& kind : chart.kinds) {
    legend.push_back({kind.name, kind.ink});
  }
  const double label_y = draw_legend(canvas, 0.0, 0.0, legend) + 12.0;
  canvas.text(0.0, label_y, fmt::format("{} / {}", chart.y_name, chart.unit), "label");
  const Range range = decades(chart);
  const Axis axis{range.low, range.high, 1.0, {}};
  std::vector<std::string> labels;
  double widest = 0.0;
  for (double power = range.low; power <= range.high; power += 1.0) {
    labels.push_back(number_text(std::pow(10.0, power), Unit::kTokens));
    widest = std::max(widest, text_width(labels.back()));
  }
  const Plot plot{widest + 8.0, label_y + 12.0, canvas.width() - 0.5 * widest,
                  label_y + 12.0 + kPlotHeight};
  const auto x_at = [&](double value) {
    return axis.place(std::log10(value), plot.left, plot.right);
  };
  const auto y_at = [&](double value) {
    return axis.place(std::log10(value), plot.bottom, plot.top);
  };
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double value = std::pow(10.0, range.low + static_cast<double>(i));
    canvas.line(plot.left, y_at(value), plot.right, y_at(value), i == 0 ? "base" : "grid");
    canvas.text(plot.left - 8.0, y_at(value) + 4.0, labels[i], "tick", Anchor::kEnd);
    canvas.line(x_at(value), plot.top, x_at(value), plot.bottom, i == 0 ? "base" : "grid");
    canvas.text(x_at(value), plot.bottom + 17.0, labels[i], "tick", Anchor::kMiddle);
  }
  const double low = std::pow(10.0, range.low);
  const double high = std::pow(10.0, range.high);
  const double up = 1.0 + chart.band;
  const auto point_text = [&](double x, double y) {
    return fmt::format("{} {}", coordinate(x_at(x)), coordinate(y_at(y)));
  };
  canvas.path(fmt::format("M{}L{}L{}L{}L{}L{}Z", point_text(low, low), point_text(low, low * up),
                          point_text(high / up, high), point_text(high, high),
                          point_text(high, high / up), point_text(low * up, low)),
              "band");
  canvas.line(x_at(low), y_at(low), x_at(high), y_at(high), "one");
  for (const AgreementChart::Point& point : chart.points) {
    canvas.circle(x_at(point.x), y_at(point.y), kRadius,
                  fmt::format("d2 {}", fill_class(chart.kinds[point.kind].ink)),
                  fmt::format("{}: {} {} {}, {} {} {}", point.name, chart.x_name,
                              number_text(point.x, Unit::kNumber), chart.unit, chart.y_name,
                              number_text(point.y, Unit::kNumber), chart.unit));
  }
  canvas.text(0.5 * (plot.left + plot.right), plot.bottom + 34.0,
              fmt::format("{} / {}", chart.x_name, chart.unit), "label", Anchor::kMiddle);
  return plot.bottom + 41.0;
}

}  // namespace kvsieve::sim
