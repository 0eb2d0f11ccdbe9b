#pragma once
// What a replay leaves behind for the rows of a sweep: its metrics, and what its cost depends on.

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "kvsieve/sim/cost_report.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "sweep/metrics_text.h"

namespace kvsieve::sim {

struct ReplayFigures {
  /// Members of a JSON object: names are those of the run document's summary, nested ones joined by
  /// '_'. What depends on the placement is not among them.
  std::string metrics;
  std::int64_t prompt_tokens = 0;
  StepLoads loads;         ///< of every step, or of one that stands for all
  std::int64_t steps = 1;  ///< decode steps, at least 1
  /// Eviction: tokens a head that the budget means.
  std::optional<std::int64_t> budget_tokens;
  /// Retrieval: of the codebook that was used, and the traffic of every placement.
  std::optional<std::int64_t> codewords;
  std::optional<std::array<PcieTraffic, kernels::kPlacements.size()>> traffic;

  /// About how much memory it takes.
  [[nodiscard]] std::size_t bytes() const noexcept;
};

/// Throws Error(kBadInput) naming a figure that is not finite.
[[nodiscard]] ReplayFigures replay_figures(const EvictionResult& result,
                                           const traces::TraceHeader& trace);
[[nodiscard]] ReplayFigures replay_figures(const RetrievalResult& result,
                                           const traces::TraceHeader& trace);

/// The method of a replay with these figures as the cost model sees it: cost_method_of.
[[nodiscard]] CostMethod replayed_method(const EvictionPlan& plan, const ReplayFigures& figures);
[[nodiscard]] CostMethod replayed_method(const RetrievalOptions& options,
                                         const ReplayFigures& figures);

/// Adds the metrics of one point whose retrieval has this placement, or of an eviction.
void add_replay(const ReplayFigures& figures, std::optional<Placement> placement,
                MetricsText& text);
/// Adds a point's cost. @param batch_was_sought the batch is part of the result
void add_cost(const CostFigures& figures, bool batch_was_sought, MetricsText& text);

[[nodiscard]] nlohmann::ordered_json to_json(const ReplayFigures& figures);
/// The inverse. Throws if `json` is anything else.
[[nodiscard]] ReplayFigures replay_figures_from_json(const nlohmann::ordered_json& json);

}  // namespace kvsieve::sim
