#pragma once
// Where the cells of a matrix lie on a drawing.

#include <compare>
#include <optional>

namespace kvsieve::gui {

struct GridCell {
  int row = 0;
  int column = 0;

  auto operator<=>(const GridCell&) const = default;
};

/// Cells from one corner to the other, both included.
struct GridBlock {
  GridCell first;
  GridCell last;

  bool operator==(const GridBlock&) const = default;
};

/// Pixels are device-independent and may be fractions of one.
struct HeadGrid {
  int rows = 0;
  int columns = 0;
  double left = 0.0;
  double top = 0.0;
  double cell_width = 1.0;
  double cell_height = 1.0;

  /// Left edge of a column, or the right edge of the one before; `columns` is the grid's right.
  [[nodiscard]] double x(int column) const { return left + column * cell_width; }
  [[nodiscard]] double y(int row) const { return top + row * cell_height; }
  /// The cell under a point; a cell has its left and upper edge. Nothing outside the grid.
  [[nodiscard]] std::optional<GridCell> cell_at(double px, double py) const;
  /// The cells that a rectangle between two opposite corners touches; nothing if it touches none.
  [[nodiscard]] std::optional<GridBlock> cells_between(double x1, double y1, double x2,
                                                       double y2) const;
};

}  // namespace kvsieve::gui
