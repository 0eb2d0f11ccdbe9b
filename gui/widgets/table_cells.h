#pragma once
// Tables of reports in a table widget.

#include <QTableWidget>

#include "kvsieve/sim/chart_table.h"

namespace kvsieve::gui {

/// Fills `widget` with a table in place of what it showed: numbers to the right, a cell's detail as
/// its tool tip.
void show_table(QTableWidget& widget, const sim::Table& table);

/// A table widget for reading: rows alternate, Ctrl+C copies.
[[nodiscard]] QTableWidget* make_table(const QString& object_name, const QString& accessible_name);

}  // namespace kvsieve::gui
