#pragma once
// Two run documents, part by part: summary, cost, layers, heads and steps.

#include <nlohmann/json_fwd.hpp>

#include "kvsieve/sim/compare_results.h"

namespace kvsieve::sim {

/// Adds what differs to `comparison`. The parts are its cases: "summary", "layer 4", "layer 4, head
/// 1", "step 7"; a part of one run alone is added or removed. Documents must be runs.
/// Throws Error(kBadInput), one line without a path, for one whose parts are of another form.
void compare_runs(const nlohmann::ordered_json& before, const nlohmann::ordered_json& after,
                  const CompareOptions& options, ResultComparison& comparison);

}  // namespace kvsieve::sim
