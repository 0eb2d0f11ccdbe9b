#pragma once
// What changed between two results: benchmarks' timings, kernels' counters, runs or sweep stores.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::sim {

enum class ResultKind { kTimings, kCounters, kRun, kSweep };

/// "timings", "counters", "run", "sweep".
[[nodiscard]] std::string_view name_of(ResultKind kind);

/// In the order in which changes are listed.
enum class ChangeVerdict {
  kWorse,
  kChanged,       ///< differs, and neither large nor small is better
  kInconclusive,  ///< the measurement could not have told, or leaves a regression possible
  kMinor,         ///< differs for sure, but by less than the threshold
  kBetter,
  kSame,
};
inline constexpr std::size_t kChangeVerdicts = 6;

/// "worse", "changed", "inconclusive", "minor", "better", "same".
[[nodiscard]] std::string_view name_of(ChangeVerdict verdict);

/// What a verdict on timings stands on. Ratios are new / old.
struct TimingEvidence {
  std::size_t old_count = 0;  ///< repetitions
  std::size_t new_count = 0;
  double ratio = 1.0;        ///< Hodges-Lehmann estimate
  double ratio_low = 0.0;    ///< of the interval with confidence 1 - alpha
  double ratio_high = 0.0;   ///< infinity where there are too few repetitions
  double whole_ratio = 1.0;  ///< as ratio, of a test in which all ranks tell
  double p = 1.0;            ///< of the rank test
  double adjusted_p = 1.0;   ///< over all cases of the file
  bool exact = false;        ///< p is counted and not approximated
  double inflation = 1.0;    ///< of the variance, by repetitions that depend on their neighbours
  double noise = 0.0;        ///< by which the threshold was raised, a share
  double lasting = 0.0;      ///< of it, what more repetitions would not average out
};

/// A line of a kernel's source whose counter changed.
struct LineChange {
  std::string file;
  std::int64_t line = 0;  ///< in the new source; in the old one if `before` alone is there
  double before = 0.0;
  double after = 0.0;
};

struct ResultChange {
  /// The case; of a sweep the point's options.
  std::string case_name;
  std::string metric;
  /// The entry of ResultComparison::matched that it belongs to.
  std::string group;
  ChangeVerdict verdict = ChangeVerdict::kSame;
  std::optional<double> before;  ///< median of timings, in microseconds
  std::optional<double> after;
  std::string reason;  ///< of what the numbers do not say: an error, too few repetitions
  std::optional<TimingEvidence> timing;
  std::vector<LineChange> lines;  ///< the largest changes first
  bool undecidable = false;       ///< inconclusive whatever the values had been

  /// (after - before) / |before|, of timings the estimate; nothing from 0 or if one is missing.
  [[nodiscard]] std::optional<double> relative() const;
};

struct RenamedCase {
  std::string before;
  std::string after;
};

/// Something that two results should share and do not.
struct SetUpDifference {
  std::string what;
  std::string before;  ///< empty if missing
  std::string after;
  bool machine = false;  ///< machine, instruction set, compiler or flags: timings do not compare
};

/// A level that moved somewhere in a history.
struct HistoryStep {
  std::string case_name;
  std::string metric;
  std::string date;  ///< of the first run on the new level
  std::string file;  ///< likewise
  double before = 0.0;
  double after = 0.0;
  double p = 1.0;      ///< of the permutation test
  bool worse = false;  ///< in the metric's direction
};

struct ResultComparison {
  ResultKind kind = ResultKind::kTimings;
  std::string old_file;
  std::string new_file;
  double threshold = 0.0;  ///< of timings
  double alpha = 0.0;      ///< likewise
  std::vector<SetUpDifference> set_up;
  /// What both sides have: cases, parts of a run ("layer 4"), metrics of a sweep.
  std::vector<std::string> matched;
  std::int64_t points = 0;     ///< of a sweep, that both sides have and did not fail on both
  std::int64_t unchanged = 0;  ///< values that are the same, where `changes` lists what differs
  std::vector<ResultChange> changes;  ///< worst first; of timings all, of others what differs
  /// Changes by verdict, those too many to be listed included.
  std::array<std::int64_t, kChangeVerdicts> counts{};
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<RenamedCase> renamed;  ///< compared as one case under the new name
  std::vector<HistoryStep> steps;    ///< of a history, the latest first
  std::vector<std::string> warnings;

  [[nodiscard]] std::int64_t count(ChangeVerdict verdict) const {
    return counts[static_cast<std::size_t>(verdict)];
  }
};

/// Counts the changes by verdict, except for a sweep, whose list is not complete, and puts them in
/// order: by verdict, then the largest first, then by name.
void finish_comparison(ResultComparison& comparison);

/// "+12.3%" of 0.123; ">1000x" and "<-1000x" where digits say no more.
[[nodiscard]] std::string relative_text(double relative);
/// relative_text; "from 0" where there is no relative difference.
[[nodiscard]] std::string change_text(const ResultChange& change);
/// Both ends of the interval of a change's timings, as relative_text; empty without bounds.
[[nodiscard]] std::string interval_text(const ResultChange& change, std::string_view separator);
/// What stands behind a change: the reason, then the lines that explain it.
[[nodiscard]] std::string remark_text(const ResultChange& change);
/// "real_time of copy/n:64 moved by +20.1% at 2026-11-09T12:00:00Z, 2026-11-09.json".
[[nodiscard]] std::string step_text(const HistoryStep& step);
/// A value with its unit; "-" if it is missing.
[[nodiscard]] std::string value_text(const ResultChange& change,
                                     const std::optional<double>& value);

}  // namespace kvsieve::sim
