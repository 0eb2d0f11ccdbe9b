#pragma once
// Cells of CSV files (RFC 4180).

#include <QString>
#include <optional>

namespace kvsieve::gui {

/// A text, in quotes where it needs them.
[[nodiscard]] QString csv_cell(const QString& text);
/// A number in its shortest exact form; empty if there is none.
[[nodiscard]] QString csv_number(const std::optional<double>& value);

}  // namespace kvsieve::gui
