#pragma once
// Values that are compared exactly, or within a tolerance.

#include <optional>
#include <string>
#include <string_view>

#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/pareto.h"

namespace kvsieve::sim {

/// The tolerance of a metric: by its whole name, by what follows the last '/', or that of all.
[[nodiscard]] double tolerance_of(std::string_view metric, const CompareOptions& options);

/// The verdict on a metric that moved from one value to another. One that is gone has changed, one
/// that is new is minor.
[[nodiscard]] ChangeVerdict exact_verdict(std::string_view metric, std::optional<double> before,
                                          std::optional<double> after, double tolerance);
/// The same of a metric whose direction is known to the caller, who asks often.
[[nodiscard]] ChangeVerdict exact_verdict(std::optional<ParetoDirection> best,
                                          std::optional<double> before, std::optional<double> after,
                                          double tolerance);

}  // namespace kvsieve::sim
