#pragma once
// Compares two files of results of one kind (docs/compare.md).

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvsieve/sim/benchmark_file.h"
#include "kvsieve/sim/pareto.h"
#include "kvsieve/sim/result_comparison.h"

namespace kvsieve::sim {

/// How far timings may move before it counts.
struct NoiseRule {
  enum class Kind {
    kAuto,   ///< raises the threshold by what the repetitions scatter
    kNone,   ///< the threshold as it is
    kFixed,  ///< raises it by `share`
  };
  Kind kind = Kind::kAuto;
  double share = 0.0;
};

/// A relative difference up to which values of a metric count as equal.
struct Tolerance {
  std::string metric;  ///< empty: of every metric that no other tolerance names
  double share = 0.0;
};

struct CompareOptions {
  double threshold = 0.05;  ///< a share
  double alpha = 0.01;      ///< chance that a file of unchanged timings raises an alarm
  NoiseRule noise;
  std::vector<Tolerance> tolerances;  ///< of counters, runs and stores
  /// Metrics to compare, whole names or what follows the last '/'; empty: of timings the one that
  /// the benchmark is timed by, real_time or cpu_time, and all of other results.
  std::vector<std::string> metrics;
  std::string filter;  ///< ECMAScript expression that is found in a case's name; empty: all
};

/// Two files of one kind, which their content tells: benchmarks, runs or sweep stores. A folder
/// holds benchmarks (read_benchmark_text).
/// Throws Error(kBadInput) as the files' readers, Error(kUsage) if the two are of different kinds,
/// for an expression that is none, and if filter or metrics leave nothing to compare.
[[nodiscard]] ResultComparison compare_results(const std::filesystem::path& old_file,
                                               const std::filesystem::path& new_file,
                                               const CompareOptions& options);

/// The same of benchmarks that were read already. Their names are the callers' to set.
[[nodiscard]] ResultComparison compare_benchmarks(const BenchmarkFile& before,
                                                  const BenchmarkFile& after,
                                                  const CompareOptions& options);

/// Throws Error(kUsage) for a metric to compare that neither file has.
void require_metrics(const BenchmarkFile& before, const BenchmarkFile& after,
                     const CompareOptions& options);

/// Throws Error(kUsage) if filter and metrics left nothing to compare.
void require_something(const ResultComparison& comparison, const CompareOptions& options);

/// Where two contexts differ in what matters; date, load, and clocks within 10 % do not.
[[nodiscard]] std::vector<SetUpDifference> context_differences(const BenchmarkFile& before,
                                                               const BenchmarkFile& after);

/// Judges one case from its repetitions, apart from other cases: verdict and adjusted p are set by
/// judge_timings.
/// @param before, after values above 0 @param best where their better ones lie
/// @param between share by which runs of one program differ, of a history; 0 where both sides were
/// measured together
[[nodiscard]] TimingEvidence timing_evidence(const std::vector<double>& before,
                                             const std::vector<double>& after,
                                             const CompareOptions& options,
                                             std::optional<ParetoDirection> best,
                                             double between = 0.0);

/// Corrects p over all changes that have timings, and sets their verdicts and reasons.
void judge_timings(std::vector<ResultChange>& changes, const CompareOptions& options);

}  // namespace kvsieve::sim
