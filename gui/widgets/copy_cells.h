#pragma once
// Copying from tables: the selected cells as tab-separated text, which spreadsheets take.

#include <QAbstractItemView>

namespace kvsieve::gui {

/// The selected cells of a view, rows by lines, columns by tabs; the header above them if more than
/// one cell is selected.
[[nodiscard]] QString selected_cells(const QAbstractItemView& view);

/// Makes Ctrl+C and the context menu of a view copy its selected cells.
void copy_cells_with_shortcut(QAbstractItemView* view);

}  // namespace kvsieve::gui
