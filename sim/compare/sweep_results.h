#pragma once
// Two sweep stores, point by point.

#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::sim {

/// Adds what differs to `comparison`. Points are the same if their options are: the stores' keys
/// have the tool's version in them, which is no reason to compare nothing. Both stores are read
/// once, side by side; rows whose texts are equal are never parsed. Of each metric the worst
/// changes are listed, all are counted.
/// Throws Error(kBadInput) as SweepRowFields.
void compare_sweeps(const SweepStore& before, const SweepStore& after,
                    const CompareOptions& options, ResultComparison& comparison);

}  // namespace kvsieve::sim
