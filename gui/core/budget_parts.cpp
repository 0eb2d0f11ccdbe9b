#include "core/budget_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvsieve/sim/eviction_method.h"

namespace kvsieve::gui {
namespace {

using kernels::AlphaMode;
using kernels::Decimal;

/// Tokens that alpha gives every head outside the protected ones, of `b` a head.
std::int64_t guaranteed_tokens(const sim::RunView& run, std::int64_t b,
                               std::int64_t protected_tokens) {
  // The document's number is the shortest that reads back as alpha.
  const Decimal alpha = Decimal::parse(fmt::format("{}", run.method.number("alpha").value_or(0.0)));
  const std::string mode = run.method.text("alpha_mode", "blend");
  switch (sim::alpha_mode_from_name(mode)) {
    case AlphaMode::kPaperLiteral:
      return Decimal{alpha.scale - alpha.units, alpha.scale}.floor_times(b);
    case AlphaMode::kFloorKvpress: {
      const std::int64_t least = alpha.units > 0 ? 1 : 0;
      const std::int64_t floor = std::max(alpha.floor_times(b + protected_tokens), least);
      return std::clamp(floor - protected_tokens, std::int64_t{0}, b);
    }
    case AlphaMode::kBlend:
    case AlphaMode::kFloor:
    case AlphaMode::kOfficialRounding:
      break;
  }
  return alpha.floor_times(b);
}

}  // namespace

LayerBudget budget_parts(const sim::RunView& run, const sim::LayerView& layer) {
  LayerBudget result;
  std::int64_t total = 0;
  for (const sim::Node& head : layer.heads) {
    if (const auto budget = head.integer("budget")) {
      result.heads.push_back(
          {head.integer_or("head", static_cast<std::int64_t>(result.heads.size())), 0, 0, *budget});
      total += *budget;
    }
  }
  if (result.heads.empty()) {
    return result;
  }
  const auto heads = static_cast<std::int64_t>(result.heads.size());
  result.uniform = static_cast<double>(total) / static_cast<double>(heads);
  const std::int64_t always =
      std::min(run.trace.prompt_tokens,
               run.method.integer_or("window", 0) + run.method.integer_or("sinks", 0));
  // Rounding as published spends more or less than the nominal budget.
  const bool nominal = run.method.text("layer_rule", "uniform") == "uniform";
  const std::int64_t mean = nominal ? run.method.integer_or("budget_tokens", total / heads)
                                    : std::llround(result.uniform);
  const std::int64_t b = std::max<std::int64_t>(0, mean - always);
  const std::int64_t guaranteed = run.adaptive ? guaranteed_tokens(run, b, always) : b;
  std::int64_t least = result.heads.front().by_score;
  for (BudgetParts& head : result.heads) {
    const std::int64_t budget = head.by_score;
    head.protected_tokens = std::min(budget, always);
    head.guaranteed = run.adaptive ? std::min(guaranteed, budget - head.protected_tokens)
                                   : budget - head.protected_tokens;
    head.by_score = budget - head.protected_tokens - head.guaranteed;
    least = std::min(least, head.protected_tokens + head.guaranteed);
  }
  result.floor = static_cast<double>(least);
  return result;
}

}  // namespace kvsieve::gui
