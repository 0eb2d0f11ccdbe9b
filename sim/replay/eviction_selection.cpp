#include "replay/eviction_selection.h"

#include <algorithm>

#include "kvsieve/kernels/budget_allocation.h"

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

kernels::SelectionRequest selection_request(kernels::MatrixView<const float> scores,
                                            kernels::MatrixView<const float> norms,
                                            std::int64_t prompt_tokens, const BudgetSplit& split,
                                            std::int64_t b, const EvictionMethod& method,
                                            bool adaptive) {
  kernels::SelectionRequest request;
  request.scores = scores;
  request.norms = norms;
  request.prompt_tokens = prompt_tokens;
  request.sinks = split.sinks;
  request.window = split.window;
  request.budget = b;
  request.two_stage = method.two_stage;
  if (adaptive) {
    request.allocation = {method.alpha, method.alpha_mode, split.window + split.sinks};
  }
  return request;
}

}  // namespace kvsieve::sim
