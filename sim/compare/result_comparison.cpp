#include "kvsieve/sim/result_comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "kvsieve/sim/metric_info.h"

namespace kvsieve::sim {
namespace {

double size_of(const ResultChange& change) {
  const std::optional<double> relative = change.relative();
  return relative ? std::abs(*relative) : std::numeric_limits<double>::infinity();
}

}  // namespace

std::string_view name_of(ResultKind kind) {
  switch (kind) {
    case ResultKind::kTimings:
      return "timings";
    case ResultKind::kCounters:
      return "counters";
    case ResultKind::kRun:
      return "run";
    case ResultKind::kSweep:
      break;
  }
  return "sweep";
}

std::string_view name_of(ChangeVerdict verdict) {
  switch (verdict) {
    case ChangeVerdict::kWorse:
      return "worse";
    case ChangeVerdict::kChanged:
      return "changed";
    case ChangeVerdict::kInconclusive:
      return "inconclusive";
    case ChangeVerdict::kMinor:
      return "minor";
    case ChangeVerdict::kBetter:
      return "better";
    case ChangeVerdict::kSame:
      break;
  }
  return "same";
}

std::optional<double> ResultChange::relative() const {
  if (timing) {
    return timing->ratio - 1.0;
  }
  if (!before || !after || (*before == 0.0 && *after != 0.0)) {
    return std::nullopt;
  }
  return *after == *before ? 0.0 : (*after - *before) / std::abs(*before);
}

void finish_comparison(ResultComparison& comparison) {
  if (comparison.kind != ResultKind::kSweep) {
    for (const ResultChange& change : comparison.changes) {
      ++comparison.counts[static_cast<std::size_t>(change.verdict)];
    }
  }
  std::stable_sort(comparison.changes.begin(), comparison.changes.end(),
                   [](const ResultChange& a, const ResultChange& b) {
                     const auto place = [](const ResultChange& change) {
                       return std::tuple(change.verdict, -size_of(change));
                     };
                     return std::tuple_cat(place(a), std::tie(a.case_name, a.metric)) <
                            std::tuple_cat(place(b), std::tie(b.case_name, b.metric));
                   });
}

std::string change_text(const ResultChange& change) {
  const std::optional<double> relative = change.relative();
  if (!relative) {
    return change.before && change.after ? "from 0" : "-";
  }
  const double percent = 100.0 * *relative;
  if (percent != 0.0 && std::abs(percent) < 0.005) {
    return percent > 0.0 ? "+<0.01%" : "-<0.01%";
  }
  const int decimals = std::abs(percent) < 10.0 ? 2 : std::abs(percent) < 1000.0 ? 1 : 0;
  return (percent > 0.0 ? "+" : "") + fixed(percent, decimals) + "%";
}

std::string value_text(const ResultChange& change, const std::optional<double>& value) {
  if (!value) {
    return "-";
  }
  const MetricInfo info = metric_info(change.metric);
  // Counts are facts: all digits.
  const bool whole = info.unit == Unit::kTokens || info.unit == Unit::kNumber;
  constexpr double kWhole = 0x1p53;
  if (whole && std::abs(*value) < kWhole && *value == std::trunc(*value)) {
    return grouped(static_cast<std::int64_t>(*value));
  }
  return change.timing ? info.text(*value) : exact_text(*value * info.scale, info.unit);
}

}  // namespace kvsieve::sim
