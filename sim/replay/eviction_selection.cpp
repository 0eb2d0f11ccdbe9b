#include "replay/eviction_selection.h"

#include <algorithm>
#include <numeric>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/token_selection.h"

namespace kvsieve::sim {
namespace {

/// Layers without a sliding window, in order: those that share the budget.
std::vector<std::int64_t> global_layers(const traces::ModelShape& model) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    if (!model.layer(layer).attention.sliding_window) {
      layers.push_back(layer);
    }
  }
  return layers;
}

}  // namespace

BudgetSplit split_budget(std::int64_t prompt_tokens, std::int64_t budget,
                         const EvictionMethod& method) {
  BudgetSplit split;
  if (method.scorer == Scorer::kNone) {
    split.candidates = prompt_tokens;
    split.free = prompt_tokens;
    return split;
  }
  split.window = std::min(method.window, prompt_tokens);
  const std::int64_t beyond_window = std::max<std::int64_t>(0, budget - split.window);
  split.sinks = std::min({method.sinks, beyond_window, prompt_tokens - split.window});
  split.candidates = prompt_tokens - split.window - split.sinks;
  split.free = std::min(beyond_window - split.sinks, split.candidates);
  return split;
}

std::int64_t layer_budget(const traces::ModelShape& model, std::int64_t layer,
                          const BudgetSplit& split, LayerRule rule) {
  if (rule == LayerRule::kUniform) {
    return split.free;
  }
  const std::vector<std::int64_t> layers = global_layers(model);
  const auto rank = std::find(layers.begin(), layers.end(), layer) - layers.begin();
  const std::vector<std::int64_t> budgets =
      kernels::pyramid_budgets(static_cast<std::int64_t>(layers.size()), split.free,
                               split.candidates, rule == LayerRule::kPyramidOfficial);
  return budgets[static_cast<std::size_t>(rank)];
}

KeptTokens select_layer(kernels::MatrixView<const float> scores,
                        kernels::MatrixView<const float> norms, std::int64_t prompt_tokens,
                        const BudgetSplit& split, std::int64_t b, const EvictionMethod& method,
                        bool adaptive) {
  const std::int64_t units = scores.rows;
  const kernels::MatrixView<const float> candidates(scores.data + split.sinks, units,
                                                    split.candidates, scores.stride);
  std::vector<std::int64_t> budgets(static_cast<std::size_t>(units), std::min(b, split.candidates));
  if (adaptive) {
    budgets = kernels::allocate_budgets(
        candidates, b, {method.alpha, method.alpha_mode, split.window + split.sinks});
  }
  KeptTokens kept(static_cast<std::size_t>(units));
  for (std::int64_t unit = 0; unit < units; ++unit) {
    const std::int64_t budget = budgets[static_cast<std::size_t>(unit)];
    std::vector<std::int32_t>& tokens = kept[static_cast<std::size_t>(unit)];
    tokens.resize(static_cast<std::size_t>(split.sinks));
    std::iota(tokens.begin(), tokens.end(), 0);
    if (budget >= split.candidates) {
      const auto end = static_cast<std::int32_t>(split.sinks + split.candidates);
      for (auto j = static_cast<std::int32_t>(split.sinks); j < end; ++j) {
        tokens.push_back(j);
      }
    } else if (method.two_stage) {
      const auto unit_norms = norms.row(unit).subspan(static_cast<std::size_t>(split.sinks),
                                                      static_cast<std::size_t>(split.candidates));
      kernels::select_tokens_critical(candidates.row(unit), unit_norms, budget, tokens);
    } else {
      kernels::select_tokens(candidates.row(unit), budget, tokens);
    }
    if (budget < split.candidates) {
      // The selection counts from the first candidate.
      for (auto j = static_cast<std::size_t>(split.sinks); j < tokens.size(); ++j) {
        tokens[j] += static_cast<std::int32_t>(split.sinks);
      }
    }
    for (std::int64_t j = prompt_tokens - split.window; j < prompt_tokens; ++j) {
      tokens.push_back(static_cast<std::int32_t>(j));
    }
  }
  return kept;
}

}  // namespace kvsieve::sim
