#pragma once
// Counters of kernels of two files, case by case.

#include "case_pairs.h"
#include "kvsieve/sim/compare_results.h"

namespace kvsieve::sim {

/// Adds what differs to `comparison`, each change with the source lines that explain it.
void compare_counters(const CasePairs& pairs, const CompareOptions& options,
                      ResultComparison& comparison);

}  // namespace kvsieve::sim
