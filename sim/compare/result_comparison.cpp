#include "kvsieve/sim/result_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
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
  constexpr double kLargest = std::numeric_limits<double>::max();
  return *after == *before
             ? 0.0
             : std::clamp((*after - *before) / std::abs(*before), -kLargest, kLargest);
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

std::string relative_text(double relative) {
  constexpr double kMost = 1000.0;
  if (std::abs(relative) >= kMost) {
    return relative > 0.0 ? ">1000x" : "<-1000x";
  }
  const double percent = 100.0 * relative;
  if (percent != 0.0 && std::abs(percent) < 0.005) {
    return percent > 0.0 ? "+<0.01%" : "-<0.01%";
  }
  const int decimals = std::abs(percent) < 10.0 ? 2 : std::abs(percent) < 1000.0 ? 1 : 0;
  return (percent > 0.0 ? "+" : "") + fixed(percent, decimals) + "%";
}

std::string change_text(const ResultChange& change) {
  const std::optional<double> relative = change.relative();
  if (!relative) {
    return change.before && change.after ? "from 0" : "-";
  }
  return relative_text(*relative);
}

std::string interval_text(const ResultChange& change, std::string_view separator) {
  if (!change.timing || !std::isfinite(change.timing->ratio_high)) {
    return "";
  }
  return fmt::format("{}{}{}", relative_text(change.timing->ratio_low - 1.0), separator,
                     relative_text(change.timing->ratio_high - 1.0));
}

std::string remark_text(const ResultChange& change) {
  constexpr double kWhole = 0x1p53;
  std::string text = change.reason;
  for (const LineChange& line : change.lines) {
    const double difference = line.after - line.before;
    text += fmt::format("{}{}:{} {}", text.empty() ? "" : "; ",
                        std::filesystem::path(line.file).filename().string(), line.line,
                        std::abs(difference) < kWhole ? fmt::format("{:+.0f}", difference)
                                                      : fmt::format("{:+.1e}", difference));
  }
  return text;
}

std::string step_text(const HistoryStep& step) {
  return fmt::format("{} of {} moved by {} at {}, {}", step.metric, step.case_name,
                     relative_text(step.after / step.before - 1.0), step.date, step.file);
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
