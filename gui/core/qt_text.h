#pragma once
// Text on its way from the libraries to Qt.

#include <QString>
#include <string>

namespace kvsieve::gui {

/// UTF-8 as Qt has it.
[[nodiscard]] inline QString qs(const std::string& text) {
  return QString::fromStdString(text);
}

}  // namespace kvsieve::gui
