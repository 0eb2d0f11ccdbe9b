#pragma once
// What the figures of runs and sweeps mean, by their names.

#include <QString>
#include <optional>
#include <string_view>

#include "kvsieve/sim/number_text.h"
#include "kvsieve/sim/pareto.h"

namespace kvsieve::gui {

struct MetricInfo {
  sim::Unit unit = sim::Unit::kNumber;
  double scale = 1.0;  ///< a value times this is in the unit: 1000 for milliseconds
  QString meaning;     ///< one sentence; empty if nobody wrote one
  QString origin;      ///< "captured" or "modelled"
  std::optional<sim::ParetoDirection> best;  ///< nothing if neither large nor small is better

  /// With the unit: "12.97%", "1.20 ms".
  [[nodiscard]] QString text(double value) const;
  /// Six digits, bytes in full.
  [[nodiscard]] QString exact(double value) const;
  /// "of one, in %", "bytes, in binary units"; empty for plain numbers.
  [[nodiscard]] QString unit_text() const;
};

/// Of a metric of a sweep ("ratio_l1_loss"), or a key of a run's document ("uniform/evicted_mass").
[[nodiscard]] MetricInfo metric_info(std::string_view name);

}  // namespace kvsieve::gui
