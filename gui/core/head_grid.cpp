#include "core/head_grid.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::gui {
namespace {

/// Index of the slot that holds `at`, which may lie outside of all.
int slot(double at, double begin, double size) {
  constexpr double kFar = 1e6;
  return static_cast<int>(std::clamp(std::floor((at - begin) / size), -kFar, kFar));
}

}  // namespace

std::optional<GridCell> HeadGrid::cell_at(double px, double py) const {
  const GridCell cell{slot(py, top, cell_height), slot(px, left, cell_width)};
  const bool inside = cell.row >= 0 && cell.row < rows && cell.column >= 0 && cell.column < columns;
  return inside ? std::optional(cell) : std::nullopt;
}

std::optional<GridBlock> HeadGrid::cells_between(double x1, double y1, double x2, double y2) const {
  const int row1 = slot(std::min(y1, y2), top, cell_height);
  const int row2 = slot(std::max(y1, y2), top, cell_height);
  const int column1 = slot(std::min(x1, x2), left, cell_width);
  const int column2 = slot(std::max(x1, x2), left, cell_width);
  if (row2 < 0 || row1 >= rows || column2 < 0 || column1 >= columns) {
    return std::nullopt;
  }
  return GridBlock{{std::max(row1, 0), std::max(column1, 0)},
                   {std::min(row2, rows - 1), std::min(column2, columns - 1)}};
}

}  // namespace kvsieve::gui
