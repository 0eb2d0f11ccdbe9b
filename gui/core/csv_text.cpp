#include "core/csv_text.h"

#include <QLocale>

namespace kvsieve::gui {

QString csv_cell(const QString& text) {
  if (!text.contains(',') && !text.contains('"') && !text.contains('\n') && !text.contains('\r')) {
    return text;
  }
  QString quoted = text;
  quoted.replace('"', QStringLiteral("\"\""));
  return '"' + quoted + '"';
}

QString csv_number(const std::optional<double>& value) {
  return value ? QString::number(*value, 'g', QLocale::FloatingPointShortest) : QString();
}

}  // namespace kvsieve::gui
