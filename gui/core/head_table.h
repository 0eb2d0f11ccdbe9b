#pragma once
// Every figure of every head as a table, a head a row.

#include <QAbstractTableModel>
#include <optional>
#include <vector>

#include "core/head_figures.h"

namespace kvsieve::gui {

class HeadTable : public QAbstractTableModel {
  Q_OBJECT
 public:
  /// Of cells: the plain number, for sorting.
  static constexpr int kNumberRole = Qt::UserRole;

  explicit HeadTable(QObject* parent = nullptr) : QAbstractTableModel(parent) {}

  /// Shows figures; those of query heads inside a KV head are left out.
  void show(std::vector<HeadFigure> figures);

  [[nodiscard]] const HeadId& head(int row) const { return m_heads[static_cast<std::size_t>(row)]; }
  /// The row of a head, -1 if it has none.
  [[nodiscard]] int row_of(const HeadId& head) const;
  /// The column of a figure, -1 if it has none.
  [[nodiscard]] int column_of(const std::string& figure_id) const;

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;

 private:
  [[nodiscard]] const std::optional<double>& value(int row, int column) const;

  std::vector<HeadFigure> m_figures;
  std::vector<HeadId> m_heads;
  std::vector<std::size_t> m_cells;  // of the heads in the figures' maps
};

}  // namespace kvsieve::gui
