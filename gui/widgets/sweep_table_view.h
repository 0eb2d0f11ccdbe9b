#pragma once
// The table of a sweep's points: what is selected stays selected while rows come and are sorted.

#include <QTableView>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/sweep_rows_model.h"

namespace kvsieve::gui {

/// Marks points by tint, weight and colour beside what the state column says in words.
class SweepTableView : public QTableView {
  Q_OBJECT
 public:
  explicit SweepTableView(SweepRowsModel* model);

  /// Shows another arrangement. Of the same store, cells that are selected, the current one and the
  /// row on top stay. Whether cells were selected before.
  bool show_arrangement(std::shared_ptr<const SweepArrangement> arrangement);
  /// Numbers of the points whose cells are selected, ascending.
  [[nodiscard]] std::vector<std::int64_t> selected_points() const;
  /// Selects the rows of points (numbers, ascending); very many separate ones by their marks alone.
  /// @param scroll brings the first one into sight
  void select_points(const std::vector<std::int64_t>& points, bool scroll);
  /// Rows of the sweep that these points are, or the current one, in the table's order.
  [[nodiscard]] std::vector<std::uint32_t> chosen_rows(
      const std::vector<std::int64_t>& points) const;

 Q_SIGNALS:
  /// The user selected other cells.
  void points_selected();

 private:
  /// Cells that were selected, by what they are rather than where they stand.
  struct CellBlock {
    std::vector<std::uint32_t> rows;
    SweepColumnId first_column;
    SweepColumnId last_column;
  };
  void show_hidden_columns();
  [[nodiscard]] std::vector<CellBlock> selected_blocks() const;
  void select_blocks(const std::vector<CellBlock>& blocks);
  /// Places of the shown rows that are these points.
  [[nodiscard]] std::vector<int> places_of(const std::vector<std::int64_t>& points) const;

  SweepRowsModel* m_model;
  bool m_selecting = false;  ///< it is not the user who does
};

}  // namespace kvsieve::gui
