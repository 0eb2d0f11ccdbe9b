#pragma once
// What a head's budget is made of.

#include <cstdint>
#include <vector>

#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// Tokens of one head; the three parts sum to its budget.
struct BudgetParts {
  std::int64_t head = 0;
  std::int64_t protected_tokens = 0;  ///< window and sinks
  std::int64_t guaranteed = 0;        ///< what alpha gives every head of the layer: the floor
  std::int64_t by_score = 0;          ///< the rest, by the ranking of scores
};

struct LayerBudget {
  double uniform = 0.0;  ///< the layer's budget shared out equally
  double floor = 0.0;    ///< protected and guaranteed tokens: no head has fewer
  std::vector<BudgetParts> heads;
};

/// Of one layer of an eviction run (docs/methods.md, the adaptive rule). Without adaptive budgets
/// all that is not protected is guaranteed. No heads if the layer has no budgets.
[[nodiscard]] LayerBudget budget_parts(const sim::RunView& run, const sim::LayerView& layer);

}  // namespace kvsieve::gui
