#pragma once
// The numbers of a chart for other programs.

#include <QString>

#include "kvsieve/sim/chart.h"

namespace kvsieve::gui {

/// RFC 4180 with a header, one line an index, point, cell or run: plain numbers in their shortest
/// exact form, empty where a value is absent, units in the names of columns.
[[nodiscard]] QString chart_csv(const sim::Chart& chart);

}  // namespace kvsieve::gui
