#pragma once
// What the figures of runs, sweeps and benchmarks mean, by their names: the one table of units and
// directions.

#include <optional>
#include <string>
#include <string_view>

#include "kvsieve/sim/number_text.h"
#include "kvsieve/sim/pareto.h"

namespace kvsieve::sim {

struct MetricInfo {
  Unit unit = Unit::kNumber;
  double scale = 1.0;     ///< a value times this is in the unit: 1000 for milliseconds
  std::string meaning;    ///< one sentence; empty if nobody wrote one
  bool modelled = false;  ///< it comes from the cost model
  std::optional<ParetoDirection> best;  ///< nothing if neither large nor small is better

  /// With the unit: "12.97%", "1.20 ms".
  [[nodiscard]] std::string text(double value) const;
};

/// Of a metric of a sweep ("ratio_l1_loss"), a key of a run's document ("uniform/evicted_mass"), a
/// kernel's counter ("global_load_sectors") or a benchmark's time, which is in microseconds here.
[[nodiscard]] MetricInfo metric_info(std::string_view name);

}  // namespace kvsieve::sim
