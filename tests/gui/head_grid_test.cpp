#include "core/head_grid.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

/// Two rows of 10 pixels from y = 20, three columns of 30 pixels from x = 100.
constexpr HeadGrid kGrid{
    .rows = 2, .columns = 3, .left = 100, .top = 20, .cell_width = 30, .cell_height = 10};

TEST(HeadGrid, PixelsBelongToCells) {
  struct Case {
    double x;
    double y;
    std::optional<GridCell> cell;
  };
  const std::vector<Case> cases{{100, 20, GridCell{0, 0}},     {129.99, 29.99, GridCell{0, 0}},
                                {130, 20, GridCell{0, 1}},     {100, 30, GridCell{1, 0}},
                                {189.9, 39.9, GridCell{1, 2}}, {99.9, 25, std::nullopt},
                                {190, 25, std::nullopt},       {150, 19.9, std::nullopt},
                                {150, 40, std::nullopt},       {-1e12, 1e12, std::nullopt}};
  for (const Case& one : cases) {
    EXPECT_EQ(kGrid.cell_at(one.x, one.y), one.cell) << one.x << ", " << one.y;
  }
}

TEST(HeadGrid, EdgesMapBackToTheirCell) {
  const HeadGrid narrow{
      .rows = 80, .columns = 64, .left = 51.5, .top = 40.25, .cell_width = 7.3, .cell_height = 4.1};
  for (int row = 0; row < narrow.rows; ++row) {
    for (int column = 0; column < narrow.columns; ++column) {
      const auto cell = narrow.cell_at(narrow.x(column) + 3.65, narrow.y(row) + 2.05);
      ASSERT_EQ(cell, (GridCell{row, column}));
    }
  }
}

TEST(HeadGrid, ARectangleTouchesABlock) {
  EXPECT_EQ(kGrid.cells_between(110, 25, 140, 35), (GridBlock{{0, 0}, {1, 1}}));
  EXPECT_EQ(kGrid.cells_between(140, 35, 110, 25), (GridBlock{{0, 0}, {1, 1}}));
  EXPECT_EQ(kGrid.cells_between(0, 0, 1000, 1000), (GridBlock{{0, 0}, {1, 2}}));
  EXPECT_EQ(kGrid.cells_between(165, 33, 165, 33), (GridBlock{{1, 2}, {1, 2}}));
  EXPECT_EQ(kGrid.cells_between(0, 0, 99, 1000), std::nullopt);
  EXPECT_EQ(kGrid.cells_between(0, 40, 1000, 50), std::nullopt);
}

}  // namespace
}  // namespace kvsieve::gui
