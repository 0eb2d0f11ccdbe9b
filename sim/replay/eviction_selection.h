#pragma once
// The budget-rule and protection stages: how many prompt tokens may stay, and which always do.

#include <cstdint>

#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/sim/eviction_method.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// How a unit's budget divides on a prompt of n tokens.
struct BudgetSplit {
  std::int64_t window = 0;      ///< newest tokens, always kept
  std::int64_t sinks = 0;       ///< oldest tokens, always kept
  std::int64_t candidates = 0;  ///< tokens between the two
  std::int64_t free = 0;        ///< tokens a unit may choose of them, on average
};

/// Splits `budget` tokens a head. The window comes first, then sinks, then chosen tokens; a budget
/// at most the window keeps the window alone.
[[nodiscard]] BudgetSplit split_budget(std::int64_t prompt_tokens, std::int64_t budget,
                                       const EvictionMethod& method);

/// Tokens a head outside window and sinks in layer `layer`: the layer rule applied to split.free
/// over the layers that eviction touches.
[[nodiscard]] std::int64_t layer_budget(const traces::ModelShape& model, std::int64_t layer,
                                        const BudgetSplit& split, LayerRule rule);

/// What the engine needs to select `b` tokens a unit. `adaptive` false gives every unit the same
/// number, which is the twin that an adaptive method is compared with.
/// @param scores [units, n - w] @param norms [units, >= n - w] ||v W_O||_1, read by two-stage
/// methods only
[[nodiscard]] kernels::SelectionRequest selection_request(kernels::MatrixView<const float> scores,
                                                          kernels::MatrixView<const float> norms,
                                                          std::int64_t prompt_tokens,
                                                          const BudgetSplit& split, std::int64_t b,
                                                          const EvictionMethod& method,
                                                          bool adaptive);

}  // namespace kvsieve::sim
