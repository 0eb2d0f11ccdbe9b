#pragma once
// Running cases with Google Benchmark.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kvsieve/bench/bench_case.h"

namespace kvsieve::bench {

struct BenchRunOptions {
  int repetitions = 1;      ///< of each case
  double min_time_s = 0.5;  ///< of a repetition
  bool interleave = false;  ///< repetitions of all cases in random order
  /// Measures the machine's limits, so that shares of them and modelled times can be reported.
  bool roofline = true;
  /// Asked before each repetition: whether to end the run. May be empty.
  std::function<bool()> stop;
  /// Called with the share of repetitions that are done; may be empty.
  std::function<void(double)> progress;
};

/// One repetition of a case, or a statistic over its repetitions.
struct BenchEntry {
  std::string case_name;
  std::string aggregate;    ///< mean, median, stddev or cv; empty for a repetition
  bool is_share = false;    ///< of an aggregate: its numbers are shares, not times
  std::int64_t family = 0;  ///< number of the case
  std::int64_t repetitions = 1;
  std::int64_t repetition = 0;  ///< of a repetition
  int threads = 1;
  std::int64_t iterations = 0;
  double real_time_us = 0.0;  ///< of an iteration; of a share, the share
  double cpu_time_us = 0.0;   ///< of all threads of the process
  std::vector<std::pair<std::string, double>> counters;
};

/// Runs the cases. Statistics follow the repetitions of each case that has several.
/// Counters of a repetition: bytes, flops (of one iteration), bytes_per_second, flops_per_second,
/// ITEMS_per_second, share_of_bandwidth, share_of_peak (of the roofline), modelled_us.
/// Throws what a case throws while it prepares or runs; returns what there is if `stop` ended it.
[[nodiscard]] std::vector<BenchEntry> run_cases(const std::vector<BenchCase>& cases,
                                                const BenchRunOptions& options);

}  // namespace kvsieve::bench
