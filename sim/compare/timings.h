#pragma once
// Timings of two benchmark files, case by case.

#include <functional>
#include <string_view>

#include "case_pairs.h"
#include "kvsieve/sim/compare_results.h"

namespace kvsieve::sim {

/// By how much runs of a case's metric differ from each other, a share of it.
using SpreadBetweenRuns =
    std::function<double(std::string_view case_name, std::string_view metric)>;

/// Adds the changes of all pairs to `comparison`, judged.
void compare_timings(const CasePairs& pairs, const CompareOptions& options,
                     const SpreadBetweenRuns& between, ResultComparison& comparison);

}  // namespace kvsieve::sim
