#include <fmt/format.h>

#include <algorithm>

#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

constexpr double kPlotHeight = 200.0;
constexpr std::size_t kMostBars = 320;  // beyond, a layer is drawn as its spread

double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// Returns half the width of the bars together.
double draw_bars(SvgCanvas& canvas, const BudgetChart& chart, const BudgetChart::Layer& layer,
                 const Axis& axis, const Plot& slot) {
  constexpr double kBroadest = 22.0;
  const auto heads = static_cast<double>(layer.budgets.size());
  const double width = std::min(kBroadest, 0.8 * (slot.right - slot.left) / std::max(1.0, heads));
  const double start = 0.5 * (slot.left + slot.right - width * heads);
  for (std::size_t head = 0; head < layer.budgets.size(); ++head) {
    const double y = axis.place(layer.budgets[head], slot.bottom, slot.top);
    const double gap = width > 4.0 ? 1.0 : 0.0;
    canvas.rect(start + static_cast<double>(head) * width, y, width - gap, slot.bottom - y,
                "f-accent",
                fmt::format("layer {}, {} {}: {} tokens", layer.name, chart.unit_name, head,
                            number_text(layer.budgets[head], Unit::kTokens)));
  }
  return 0.5 * width * heads;
}

/// Smallest to largest as a thin line, the middle half of the heads as a bar.
void draw_spread(SvgCanvas& canvas, const BudgetChart::Layer& layer, const Axis& axis,
                 const Plot& slot) {
  std::vector<double> sorted = layer.budgets;
  std::sort(sorted.begin(), sorted.end());
  const auto y = [&](double value) { return axis.place(value, slot.bottom, slot.top); };
  const double middle = 0.5 * (slot.left + slot.right);
  const double half = std::min(8.0, 0.35 * (slot.right - slot.left));
  const double low = quantile(sorted, 0.25);
  const double high = quantile(sorted, 0.75);
  canvas.line(middle, y(sorted.front()), middle, y(sorted.back()), "whisker");
  canvas.rect(middle - half, y(high), 2.0 * half, std::max(1.0, y(low) - y(high)), "f-accent",
              fmt::format("layer {}: {} to {} tokens, median {}", layer.name,
                          number_text(sorted.front(), Unit::kTokens),
                          number_text(sorted.back(), Unit::kTokens),
                          number_text(quantile(sorted, 0.5), Unit::kTokens)));
}

}  // namespace

double draw(SvgCanvas& canvas, const BudgetChart& chart) {
  std::size_t bars = 0;
  double largest = 0.0;
  for (const BudgetChart::Layer& layer : chart.layers) {
    bars += layer.budgets.size();
    largest = std::max(largest, layer.equal);
    for (const double budget : layer.budgets) {
      largest = std::max(largest, budget);
    }
  }
  const bool spread = bars > kMostBars;
  const std::string name =
      spread ? fmt::format("middle half of the {}s, line from smallest to largest", chart.unit_name)
             : chart.unit_name;
  const double top =
      draw_legend(canvas, 0.0, 0.0,
                  {{name, Ink::kAccent}, {"equal share", Ink::kGrey, LegendEntry::Mark::kDash}}) +
      8.0;
  Plot plot{0.0, top, canvas.width() - 4.0, top + kPlotHeight};
  const Axis axis = round_axis(0.0, largest, 4, Unit::kTokens);
  draw_value_axis(canvas, plot, axis, Unit::kTokens);
  const double slot =
      (plot.right - plot.left) / static_cast<double>(std::max<std::size_t>(1, chart.layers.size()));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < chart.layers.size(); ++i) {
    const BudgetChart::Layer& layer = chart.layers[i];
    const double left = plot.left + static_cast<double>(i) * slot;
    const Plot part{left, plot.top, left + slot, plot.bottom};
    double half = 0.38 * slot;
    if (spread && !layer.budgets.empty()) {
      draw_spread(canvas, layer, axis, part);
    } else {
      half = draw_bars(canvas, chart, layer, axis, part);
    }
    half = std::min(half + 10.0, 0.46 * slot);
    const double middle = left + 0.5 * slot;
    const double y = axis.place(layer.equal, plot.bottom, plot.top);
    canvas.line(middle - half, y, middle + half, y, "mark",
                fmt::format("layer {}, equal share: {} tokens", layer.name,
                            number_text(layer.equal, Unit::kTokens)));
    names.push_back(layer.name);
  }
  return draw_slot_labels(canvas, plot, names, "layer");
}

}  // namespace kvsieve::sim
