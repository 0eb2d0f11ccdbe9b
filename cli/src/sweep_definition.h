#pragma once
// What a sweep is, from its command line: the points, what they depend on, and how to go on with
// them.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arguments.h"
#include "kvsieve/sim/expression.h"
#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::cli {

/// A sweep that was asked for.
struct SweepRequest {
  sim::SweepDefinition definition;
  std::vector<sim::SweepPoint> points;  ///< all of them, before any shard is taken
  nlohmann::ordered_json context;       ///< what keys depend on besides options
  sim::SweepIdentity identity;
  std::vector<std::string> result_conditions;  ///< conditions over metrics
};

/// Adds --axis, --zip, --derive, --where, --sample and --seed.
void add_definition_options(Arguments& arguments);

/// The sweep over `traces` (positional arguments; none for costs alone). A condition that names an
/// option of the sweep alone chooses points; others choose results.
/// Throws Error(kUsage) for an axis that is no option of run or cost.
[[nodiscard]] SweepRequest read_sweep(const Arguments& arguments,
                                      const std::vector<std::string>& traces);

}  // namespace kvsieve::cli
