#pragma once
// Comparing a replay with the reference, figure by figure.

#include <initializer_list>
#include <string_view>
#include <vector>

#include "kvsieve/sim/eviction_replay.h"
#include "sim/eviction/replay_reference.h"

namespace kvsieve::sim::tests {

/// The preset called `name`, changed by `change`, at a budget such as "20%".
[[nodiscard]] EvictionPlan plan_of(std::string_view name, std::string_view budget);
template <class Change>
[[nodiscard]] EvictionPlan plan_of(std::string_view name, std::string_view budget, Change change) {
  EvictionPlan plan = plan_of(name, budget);
  change(plan.method);
  return plan;
}

/// One plan's result.
[[nodiscard]] EvictionResult replay_one(const traces::Trace& trace, const EvictionPlan& plan,
                                        const EvictionOptions& options = {});

/// The kept tokens of a layer, one list a unit.
[[nodiscard]] KeptLists kept_lists(const LayerEviction& layer);

/// The budgets of a layer, one a unit.
[[nodiscard]] std::vector<std::int64_t> budgets_of(const LayerEviction& layer);

/// Selections compared and those left out because another one lies within rounding errors.
struct Tally {
  int compared = 0;
  int ambiguous = 0;
};

/// Expects every kept list, loss, mean and summary figure of `result` to be the reference's.
/// Losses are compared for the kept lists of `result`, so that they never depend on ties.
void expect_matches_reference(const traces::Trace& trace, const EvictionResult& result,
                              Tally& tally);

/// Expects that kept lists are ascending prompt positions with the window in full, that budgets
/// count them, and loss <= theta <= head <= eps for every query of every layer.
void expect_sound(const traces::Trace& trace, const EvictionResult& result);

/// Expects two results to agree bit for bit.
void expect_identical(const EvictionResult& a, const EvictionResult& b);

}  // namespace kvsieve::sim::tests
