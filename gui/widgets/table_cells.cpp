#include "widgets/table_cells.h"

#include <QHeaderView>

#include "widgets/copy_cells.h"

namespace kvsieve::gui {

void show_table(QTableWidget& widget, const sim::Table& table) {
  widget.setSortingEnabled(false);
  widget.clearContents();
  widget.setRowCount(static_cast<int>(table.rows.size()));
  widget.setColumnCount(static_cast<int>(table.columns.size()));
  for (int column = 0; column < widget.columnCount(); ++column) {
    const sim::Column& head = table.columns[static_cast<std::size_t>(column)];
    widget.setHorizontalHeaderItem(column,
                                   new QTableWidgetItem(QString::fromStdString(head.title)));
    for (int row = 0; row < widget.rowCount(); ++row) {
      const auto& cells = table.rows[static_cast<std::size_t>(row)];
      if (static_cast<std::size_t>(column) >= cells.size()) {
        continue;
      }
      const sim::Cell& cell = cells[static_cast<std::size_t>(column)];
      auto* item = new QTableWidgetItem(QString::fromStdString(cell.text));
      item->setTextAlignment(Qt::AlignVCenter | (head.numeric ? Qt::AlignRight : Qt::AlignLeft));
      if (!cell.detail.empty()) {
        item->setToolTip(QString::fromStdString(cell.detail));
      }
      widget.setItem(row, column, item);
    }
  }
  widget.resizeColumnsToContents();
}

QTableWidget* make_table(const QString& object_name, const QString& accessible_name) {
  auto* table = new QTableWidget;
  table->setObjectName(object_name);
  table->setAccessibleName(accessible_name);
  table->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table->setAlternatingRowColors(true);
  table->verticalHeader()->hide();
  constexpr int kMeasuredRows = 100;  // of the thousands that a column may have
  table->horizontalHeader()->setResizeContentsPrecision(kMeasuredRows);
  copy_cells_with_shortcut(table);
  return table;
}

}  // namespace kvsieve::gui
