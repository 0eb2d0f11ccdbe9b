#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

constexpr double kPlotHeight = 170.0;

double height_at(const BarChart& chart, std::size_t category) {
  double sum = 0.0;
  double largest = 0.0;
  for (const Series& series : chart.series) {
    const double value =
        category < series.values.size() ? series.values[category].value_or(0.0) : 0.0;
    sum += std::max(value, 0.0);
    largest = std::max(largest, value);
  }
  return chart.stacked ? sum : largest;
}

double tallest(const BarChart& chart) {
  double tallest = 0.0;
  for (std::size_t i = 0; i < chart.categories.size(); ++i) {
    tallest = std::max(tallest, height_at(chart, i));
  }
  return chart.marks ? std::max(tallest, range_of(chart.marks->values).high) : tallest;
}

std::vector<LegendEntry> legend_of(const BarChart& chart) {
  std::vector<LegendEntry> legend;
  if (chart.series.size() > 1 || chart.marks) {
    for (const Series& series : chart.series) {
      legend.push_back({series.name, series.ink});
    }
  }
  if (chart.marks) {
    legend.push_back({chart.marks->name, chart.marks->ink, LegendEntry::Mark::kDash});
  }
  return legend;
}

void draw_category(SvgCanvas& canvas, const BarChart& chart, const Axis& axis, const Plot& plot,
                   std::size_t category) {
  const double slot = (plot.right - plot.left) / static_cast<double>(chart.categories.size());
  const double left = plot.left + static_cast<double>(category) * slot;
  const double group = std::min(0.78 * slot, chart.stacked ? 34.0 : 46.0);
  const double start = left + 0.5 * (slot - group);
  const auto shared = chart.stacked ? 1.0 : static_cast<double>(chart.series.size());
  const double width = group / shared;
  const double gap = !chart.stacked && width > 6.0 ? 1.0 : 0.0;
  double base = plot.bottom;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    if (category >= series.values.size() || !series.values[category]) {
      continue;
    }
    const double value = *series.values[category];
    const double length = plot.bottom - axis.place(value, plot.bottom, plot.top);
    const double x = chart.stacked ? start : start + static_cast<double>(i) * width;
    canvas.rect(x, base - length, width - gap, length, fill_class(series.ink),
                fmt::format("{} {}, {}: {}", chart.category_name, chart.categories[category],
                            series.name, exact_text(value, chart.unit)));
    base -= chart.stacked ? length : 0.0;
  }
  if (chart.marks && category < chart.marks->values.size() && chart.marks->values[category]) {
    const double value = *chart.marks->values[category];
    const double y = axis.place(value, plot.bottom, plot.top);
    const double over = std::min(3.0, 0.08 * slot);
    canvas.line(start - over, y, start + group + over, y, "mark",
                fmt::format("{} {}, {}: {}", chart.category_name, chart.categories[category],
                            chart.marks->name, exact_text(value, chart.unit)));
  }
}

/// Ticks of a factor axis: round numbers while the range is small, powers of two beyond.
std::vector<double> ratio_ticks(double low, double high) {
  constexpr double kWideRange = 6.0;
  if (high / low <= kWideRange) {
    std::vector<double> ticks = inner_axis(low, high, 5, Unit::kRatio).ticks;
    std::erase_if(ticks, [](double tick) { return tick <= 0.0; });
    return ticks;
  }
  std::vector<double> ticks;
  const double step = std::max(1.0, std::ceil(std::log2(high / low) / 7.0));
  for (double power = std::ceil(std::log2(low) / step) * step; std::exp2(power) <= high;
       power += step) {
    ticks.push_back(std::exp2(power));
  }
  return ticks;
}

}  // namespace

double draw(SvgCanvas& canvas, const BarChart& chart) {
  const std::vector<LegendEntry> legend = legend_of(chart);
  const double top = legend.empty() ? 8.0 : draw_legend(canvas, 0.0, 0.0, legend) + 8.0;
  Plot plot{0.0, top, canvas.width() - 4.0, top + kPlotHeight};
  const Axis axis = round_axis(0.0, chart.top.value_or(tallest(chart)), 4, chart.unit);
  draw_value_axis(canvas, plot, axis, chart.unit);
  for (std::size_t i = 0; i < chart.categories.size(); ++i) {
    draw_category(canvas, chart, axis, plot, i);
  }
  return draw_slot_labels(canvas, plot, chart.categories, chart.category_name);
}

double draw(SvgCanvas& canvas, const RatioChart& chart) {
  constexpr double kSmallest = 1.0 / 64.0;
  constexpr double kLargest = 64.0;
  const Range range = range_of(chart.values);
  const double low = std::clamp(std::min(range.low, 0.95), kSmallest, 1.0) * 0.97;
  const double high = std::clamp(std::max(range.high, 1.05), 1.0, kLargest) * 1.03;
  Axis axis;
  axis.low = std::log2(low);
  axis.high = std::log2(high);
  Plot plot{0.0, 16.0, canvas.width() - 4.0, 16.0 + kPlotHeight};
  const std::vector<double> ticks = ratio_ticks(low, high);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1.0;
  std::vector<std::string> labels;
  double widest = 0.0;
  for (const double tick : ticks) {
    labels.push_back(tick_text(tick, std::min(step, tick), high, Unit::kRatio));
    widest = std::max(widest, text_width(labels.back()));
  }
  plot.left = widest + 8.0;
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const double y = axis.place(std::log2(ticks[i]), plot.bottom, plot.top);
    canvas.line(plot.left, y, plot.right, y, "grid");
    canvas.text(plot.left - 8.0, y + 4.0, labels[i], "tick", Anchor::kEnd);
  }
  const double one = axis.place(0.0, plot.bottom, plot.top);
  const double slot =
      (plot.right - plot.left) / static_cast<double>(std::max<std::size_t>(1, chart.values.size()));
  const double width = std::min(0.6 * slot, 30.0);
  const double extent = std::max(-axis.low, axis.high);
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    if (!chart.values[i]) {
      continue;
    }
    const double value = *chart.values[i];
    const double power = std::log2(std::max(value, kSmallest / 2.0));
    const double y = axis.place(power, plot.bottom, plot.top);
    const double x = plot.left + (static_cast<double>(i) + 0.5) * slot;
    canvas.rect(x - 0.5 * width, std::min(y, one), width, std::abs(y - one),
                diverging_colour(power / extent),
                fmt::format("{} {}: {} {}", chart.category_name, chart.categories[i],
                            exact_text(value, Unit::kRatio), chart.value_name));
    const std::string text = fixed(value, 2);
    if (slot >= text_width(text) + 4.0) {
      canvas.text(x, y <= one ? y - 4.0 : y + 13.0, text, "tick", Anchor::kMiddle);
    }
  }
  canvas.line(plot.left, one, plot.right, one, "one");
  return draw_slot_labels(canvas, plot, chart.categories, chart.category_name);
}

}  // namespace kvsieve::sim
