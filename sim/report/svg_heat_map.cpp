#include <fmt/format.h>

#include <algorithm>

#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

constexpr double kTop = 36.0;  // the columns' name and labels

struct Grid {
  double left;
  double cell_width;
  double cell_height;
  double gap;
};

Grid layout(const SvgCanvas& canvas, const HeatMap& map) {
  double labels = text_width(map.row_name);
  for (const std::string& row : map.rows) {
    labels = std::max(labels, text_width(row));
  }
  const auto rows = static_cast<double>(std::max<std::size_t>(map.rows.size(), 1));
  const auto columns = static_cast<double>(std::max<std::size_t>(map.columns.size(), 1));
  Grid grid{};
  grid.left = labels + 10.0;
  grid.cell_width = std::min((canvas.width() - grid.left) / columns, 96.0);
  grid.cell_height = std::clamp(300.0 / rows, 8.0, 26.0);
  grid.gap = std::min(grid.cell_width, grid.cell_height) >= 10.0 ? 1.5 : 0.5;
  return grid;
}

void draw_labels(SvgCanvas& canvas, const HeatMap& map, const Grid& grid) {
  canvas.text(grid.left - 10.0, kTop - 6.0, map.row_name, "label", Anchor::kEnd);
  canvas.text(grid.left, kTop - 22.0, map.column_name, "label");
  double widest = 0.0;
  for (const std::string& column : map.columns) {
    widest = std::max(widest, text_width(column) + 6.0);
  }
  const auto columns = static_cast<double>(map.columns.size());
  const std::size_t column_stride =
      label_stride(map.columns.size(), widest, columns * grid.cell_width);
  for (std::size_t i = 0; i < map.columns.size(); i += column_stride) {
    const double x = grid.left + (static_cast<double>(i) + 0.5) * grid.cell_width;
    canvas.text(x, kTop - 6.0, map.columns[i], "tick", Anchor::kMiddle);
  }
  const auto rows = static_cast<double>(map.rows.size());
  const std::size_t row_stride =
      label_stride(map.rows.size(), kTextHeight + 1.0, rows * grid.cell_height);
  for (std::size_t i = 0; i < map.rows.size(); i += row_stride) {
    const double y = kTop + (static_cast<double>(i) + 0.5) * grid.cell_height;
    canvas.text(grid.left - 10.0, y + 4.0, map.rows[i], "tick", Anchor::kEnd);
  }
}

/// A share in a cell: one decimal, none where it says nothing.
std::string percent_digits(double share) {
  return share == 0.0 || share == 1.0 ? fixed(100.0 * share, 0) : fixed(100.0 * share, 1);
}

/// The colours with their values; returns the y below.
double draw_scale(SvgCanvas& canvas, const HeatMap& map, const Range& range, double left,
                  double top) {
  constexpr double kScaleWidth = 200.0;
  constexpr double kScaleHeight = 9.0;
  canvas.text(left, top + 9.0, map.value_name, "label");
  const double x = left + text_width(map.value_name) + 14.0;
  canvas.gradient(x, top, kScaleWidth, kScaleHeight);
  const Axis axis = inner_axis(range.low, range.high, 4, map.unit);
  for (const double tick : axis.ticks) {
    const double at = axis.place(tick, x, x + kScaleWidth);
    canvas.line(at, top + kScaleHeight, at, top + kScaleHeight + 4.0, "base");
    canvas.text(at, top + kScaleHeight + 16.0, tick_text(tick, axis.step, axis.high, map.unit),
                "tick", Anchor::kMiddle);
  }
  return top + kScaleHeight + 22.0;
}

}  // namespace

double draw(SvgCanvas& canvas, const HeatMap& map) {
  const Grid grid = layout(canvas, map);
  Range range = range_of(map.values);
  range.low = map.low.value_or(range.low);
  range.high = map.high.value_or(range.high);
  draw_labels(canvas, map, grid);
  const std::size_t columns = map.columns.size();
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    const std::size_t row = i / columns;
    const std::size_t column = i % columns;
    const double x = grid.left + static_cast<double>(column) * grid.cell_width;
    const double y = kTop + static_cast<double>(row) * grid.cell_height;
    const double width = grid.cell_width - grid.gap;
    const double height = grid.cell_height - grid.gap;
    if (!map.values[i]) {
      canvas.rect(x, y, width, height, "empty");
      continue;
    }
    const double share =
        range.high > range.low ? (*map.values[i] - range.low) / (range.high - range.low) : 0.5;
    const Colour colour = sequential_colour(share);
    canvas.rect(x, y, width, height, colour,
                fmt::format("{} {}, {} {}: {}", map.row_name, map.rows[row], map.column_name,
                            map.columns[column], exact_text(*map.values[i], map.unit)));
    const std::string text = map.unit == Unit::kShare ? percent_digits(*map.values[i])
                                                      : number_text(*map.values[i], map.unit);
    if (height >= 14.0 && width >= text_width(text) + 2.0) {
      canvas.text(x + 0.5 * width, y + 0.5 * height + 4.0, text, text_colour_on(colour),
                  Anchor::kMiddle);
    }
  }
  const double bottom = kTop + static_cast<double>(map.rows.size()) * grid.cell_height;
  const std::string name = map.unit == Unit::kShare ? map.value_name + ", %" : map.value_name;
  HeatMap named;
  named.value_name = name;
  named.unit = map.unit;
  return draw_scale(canvas, named, range, grid.left, bottom + 12.0);
}

}  // namespace kvsieve::sim
