#include "widgets/copy_cells.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QKeySequence>
#include <QStringList>
#include <algorithm>
#include <set>

namespace kvsieve::gui {

QString selected_cells(const QAbstractItemView& view) {
  QModelIndexList indices = view.selectionModel()->selectedIndexes();
  if (indices.isEmpty()) {
    return {};
  }
  std::sort(indices.begin(), indices.end());
  std::set<int> columns;
  for (const QModelIndex& index : indices) {
    columns.insert(index.column());
  }
  QStringList lines;
  if (indices.size() > 1) {
    QStringList heads;
    for (const int column : columns) {
      heads << view.model()->headerData(column, Qt::Horizontal).toString();
    }
    lines << heads.join('\t');
  }
  int row = -1;
  for (const QModelIndex& index : indices) {
    const QString text = index.data().toString();
    if (index.row() == row) {
      lines.back() += '\t' + text;
    } else {
      lines << text;
      row = index.row();
    }
  }
  return lines.join('\n');
}

void copy_cells_with_shortcut(QAbstractItemView* view) {
  auto* copy = new QAction(QStringLiteral("Copy cells"), view);
  copy->setShortcut(QKeySequence::Copy);
  copy->setShortcutContext(Qt::WidgetShortcut);
  QObject::connect(copy, &QAction::triggered, view,
                   [view] { QApplication::clipboard()->setText(selected_cells(*view)); });
  view->addAction(copy);
  view->setContextMenuPolicy(Qt::ActionsContextMenu);
}

}  // namespace kvsieve::gui
