#include "exact_change.h"

#include <algorithm>
#include <cmath>

#include "kvsieve/sim/metric_info.h"

namespace kvsieve::sim {

double tolerance_of(std::string_view metric, const CompareOptions& options) {
  const std::string_view last = metric.substr(metric.rfind('/') + 1);
  for (const std::string_view name : {metric, last, std::string_view()}) {
    // The last one given counts.
    const auto found =
        std::find_if(options.tolerances.rbegin(), options.tolerances.rend(),
                     [&](const Tolerance& tolerance) { return tolerance.metric == name; });
    if (found != options.tolerances.rend()) {
      return found->share;
    }
  }
  return 0.0;
}

ChangeVerdict exact_verdict(std::string_view metric, std::optional<double> before,
                            std::optional<double> after, double tolerance) {
  return exact_verdict(metric_info(metric).best, before, after, tolerance);
}

ChangeVerdict exact_verdict(std::optional<ParetoDirection> best, std::optional<double> before,
                            std::optional<double> after, double tolerance) {
  if (!before || !after) {
    // What nobody measured before can't have got worse; what is gone nobody watches any more.
    return before ? ChangeVerdict::kChanged : after ? ChangeVerdict::kMinor : ChangeVerdict::kSame;
  }
  const double difference = *after - *before;
  if (difference == 0.0) {
    return ChangeVerdict::kSame;
  }
  const ChangeVerdict verdict = !best ? ChangeVerdict::kChanged
                                : (*best == ParetoDirection::kMax) == (difference > 0.0)
                                    ? ChangeVerdict::kBetter
                                    : ChangeVerdict::kWorse;
  return std::abs(difference) <= tolerance * std::abs(*before) ? ChangeVerdict::kMinor : verdict;
}

}  // namespace kvsieve::sim
