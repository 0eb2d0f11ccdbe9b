#include "svg_chart.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvsieve::sim {
namespace {

std::string span_text(const Values& values, Unit unit) {
  if (!has_values(values)) {
    return "no values";
  }
  const Range range = range_of(values);
  return fmt::format("{} to {}", number_text(range.low, unit), number_text(range.high, unit));
}

std::string series_text(const std::vector<Series>& series, Unit unit) {
  std::string text;
  for (const Series& one : series) {
    text +=
        fmt::format("{}{}: {}", text.empty() ? "" : "; ", one.name, span_text(one.values, unit));
  }
  return text;
}

std::string describe_one(const HeatMap& map) {
  return fmt::format("Heat map of {} {}s by {} {}s. {}: {}.", map.rows.size(), map.row_name,
                     map.columns.size(), map.column_name, map.value_name,
                     span_text(map.values, map.unit));
}

std::string describe_one(const BarChart& chart) {
  return fmt::format("Bars for {} {}s. {}.", chart.categories.size(), chart.category_name,
                     series_text(chart.series, chart.unit));
}

std::string describe_one(const RatioChart& chart) {
  const auto better = std::count_if(chart.values.begin(), chart.values.end(),
                                    [](const auto& value) { return value && *value < 1.0; });
  return fmt::format("Factors of {} {}s: {}, {} of them below one.", chart.categories.size(),
                     chart.category_name, span_text(chart.values, Unit::kRatio), better);
}

std::string describe_one(const BudgetChart& chart) {
  Values budgets;
  for (const BudgetChart::Layer& layer : chart.layers) {
    budgets.insert(budgets.end(), layer.budgets.begin(), layer.budgets.end());
  }
  return fmt::format("Budgets of the {}s of {} layers beside the equal share: {} tokens.",
                     chart.unit_name, chart.layers.size(), span_text(budgets, Unit::kTokens));
}

std::string describe_one(const LineChart& chart) {
  return fmt::format("Lines over {} {}s. {}.", chart.x.size(), chart.x_name,
                     series_text(chart.series, chart.unit));
}

std::string describe_one(const ScatterChart& chart) {
  return fmt::format("{} points: {} against {}.", chart.points.size(), chart.y_name, chart.x_name);
}

std::string describe_one(const AgreementChart& chart) {
  const auto within =
      std::count_if(chart.points.begin(), chart.points.end(), [&](const auto& point) {
        return std::max(point.x, point.y) <= (1.0 + chart.band) * std::min(point.x, point.y);
      });
  return fmt::format("{} points: {} against {}, {} of them within {}.", chart.points.size(),
                     chart.y_name, chart.x_name, within, number_text(chart.band, Unit::kShare));
}

std::string describe_one(const TokenStrip& strip) {
  return fmt::format("Positions of the tokens that {} heads keep of {}.", strip.rows.size(),
                     counted(strip.tokens, "prompt token"));
}

}  // namespace

std::string describe(const Chart& chart) {
  return std::visit([](const auto& one) { return describe_one(one); }, chart);
}

std::string svg_chart(const Figure& figure, std::string_view id) {
  SvgCanvas canvas(figure.wide ? kWide : kNarrow, id, figure.title, describe(figure.chart));
  const double height =
      std::visit([&](const auto& chart) { return draw(canvas, chart); }, figure.chart);
  return canvas.finish(height);
}

void draw_value_axis(SvgCanvas& canvas, Plot& plot, const Axis& axis, Unit unit) {
  double widest = 0.0;
  std::vector<std::string> labels;
  for (const double tick : axis.ticks) {
    labels.push_back(tick_text(tick, axis.step, axis.high, unit));
    widest = std::max(widest, text_width(labels.back()));
  }
  plot.left += widest + 8.0;
  for (std::size_t i = 0; i < axis.ticks.size(); ++i) {
    const double y = axis.place(axis.ticks[i], plot.bottom, plot.top);
    canvas.line(plot.left, y, plot.right, y, i == 0 ? "base" : "grid");
    canvas.text(plot.left - 8.0, y + 4.0, labels[i], "tick", Anchor::kEnd);
  }
}

double draw_slot_labels(SvgCanvas& canvas, const Plot& plot, const std::vector<std::string>& labels,
                        const std::string& name) {
  double widest = 0.0;
  for (const std::string& label : labels) {
    widest = std::max(widest, text_width(label) + 8.0);
  }
  const double space = plot.right - plot.left;
  const std::size_t stride = label_stride(labels.size(), widest, space);
  for (std::size_t i = 0; i < labels.size(); i += stride) {
    const double slot = space / static_cast<double>(labels.size());
    canvas.text(plot.left + (static_cast<double>(i) + 0.5) * slot, plot.bottom + 16.0, labels[i],
                "tick", Anchor::kMiddle);
  }
  canvas.text(0.5 * (plot.left + plot.right), plot.bottom + 33.0, name, "label", Anchor::kMiddle);
  return plot.bottom + 40.0;
}

}  // namespace kvsieve::sim
