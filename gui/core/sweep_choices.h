#pragma once
// What a chart can show of a sweep, and what it shows to begin with.

#include <QString>
#include <QStringList>

#include "core/sweep_table.h"

namespace kvsieve::gui {

/// Names, those that vary first.
struct SweepChoices {
  QStringList metrics;  ///< that are numbers
  QStringList options;
  QString x;  ///< metrics: what one pays or gains, against what one loses
  QString y;
  QString colour;  ///< an option
};
[[nodiscard]] SweepChoices sweep_choices(const SweepTable& table);

}  // namespace kvsieve::gui
