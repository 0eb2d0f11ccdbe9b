#pragma once
// What makes timings untrustworthy, found before and after a run.

#include <string>
#include <vector>

#include "kvsieve/bench/bench_run.h"
#include "kvsieve/bench/machine.h"

namespace kvsieve::bench {

/// What a run begins with.
struct RunConditions {
  Machine machine;
  double load = 0.0;  ///< average over the last minute
  int threads = 1;    ///< of the cases
  int usable_cpus = 1;
  bool debug_build = false;
};

/// One line for each: load above a quarter of the processors, a governor other than "performance",
/// fewer processors than threads, a debug build.
[[nodiscard]] std::vector<std::string> noise_before(const RunConditions& conditions);

/// One line for each case whose repetitions' coefficient of variation is above 5 %.
[[nodiscard]] std::vector<std::string> noise_within(const std::vector<BenchEntry>& entries);

}  // namespace kvsieve::bench
