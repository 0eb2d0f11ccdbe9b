#pragma once
// Replaying eviction methods on a trace: who keeps what, and what it costs on unseen queries.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/backend.h"
#include "kvsieve/sim/budget.h"
#include "kvsieve/sim/eviction_method.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// Called with the finished share in [0, 1]; may be empty.
using Progress = std::function<void(double)>;

/// One method at one budget.
struct EvictionPlan {
  EvictionMethod method;
  Budget budget;
};

/// Which losses to measure.
enum class Losses {
  kProjected,  ///< evicted masses, and the L1 loss through V W_O
  kMass,       ///< evicted masses alone, which need neither V nor W_O; there are no bounds then
};

/// How much of a replay its result holds.
enum class EvictionDetail {
  kFull,
  /// Without kept tokens, losses by query and losses on the observation window.
  kSummary,
};

struct EvictionResult;

/// What to measure.
struct EvictionOptions {
  std::vector<std::int64_t> layers;  ///< model layer indices; empty means all captured ones
  Losses losses = Losses::kProjected;
  bool bound = true;  ///< eps and the tighter bounds, which cost a pass over V W_O
  EvictionDetail detail = EvictionDetail::kFull;
  kernels::Backend backend = kernels::Backend::kCpu;
  /// Called after each layer but the last with the plans' results so far, their summaries over
  /// the layers that are done; may be empty.
  std::function<void(std::span<const EvictionResult>)> partial;
};

/// Upper bounds of the L1 eviction loss, tightest last: loss <= theta <= head <= eps.
struct LossBounds {
  double eps = 0.0;    ///< 2 C sum(1-F), C over all heads (Ada-KV theorem 3.1)
  double head = 0.0;   ///< 2 sum C_i (1-F_i)
  double theta = 0.0;  ///< sum of T - (2 - 1/F) K (CriticalKV theorem 3.3)
};

/// Loss terms of one layer and one query, summed over heads where they belong to the layer.
struct QueryLoss {
  std::int64_t position = 0;
  double evicted_mass = 0.0;  ///< mean over query heads of 1 - F
  double l1_loss = 0.0;       ///< ||y - y^||_1; zero for Losses::kMass, wherever it stands
  double output_l1 = 0.0;     ///< ||y||_1
  LossBounds bounds;          ///< zero when not asked for
};

/// Means over a set of queries.
struct LossFigures {
  double evicted_mass = 0.0;
  double l1_loss = 0.0;
  double l1_loss_relative = 0.0;  ///< mean l1_loss / mean ||y||_1
  LossBounds bounds;
};

/// One allocation unit: a KV head or a query head, as the granularity says.
struct HeadEviction {
  std::int64_t head = 0;
  std::int64_t budget = 0;         ///< tokens kept of the prompt, window and sinks included
  double evicted_mass = 0.0;       ///< mean over decode queries and the unit's query heads
  double l1_loss = 0.0;            ///< ||sum over its query heads of (A - A^) V W_O||_1
  std::vector<std::int32_t> kept;  ///< ascending prompt positions
  std::int64_t needle_kept = 0;    ///< needle tokens among them
};

/// One layer under one plan.
struct LayerEviction {
  std::int64_t layer = 0;
  bool touched = true;  ///< false for sliding-window layers, which are left whole
  std::int64_t budget_total = 0;
  std::vector<HeadEviction> heads;
  std::vector<QueryLoss> queries;          ///< decode steps under the plan
  std::optional<LossFigures> decode;       ///< absent without decode queries
  std::optional<LossFigures> uniform;      ///< the nominal budget in every head and layer
  std::optional<LossFigures> observation;  ///< the plan on the last window prompt queries
  std::optional<LossFigures> observation_uniform;
};

/// Sums over layers relative to equal budgets at the same total.
struct RatioToUniform {
  std::optional<double> evicted_mass;  ///< absent if uniform loses nothing
  std::optional<double> l1_loss;       ///< likewise, and for Losses::kMass
  std::int64_t layers_improved_mass = 0;
  std::int64_t layers_improved_l1 = 0;
  std::int64_t layers = 0;
};

/// Means over the touched layers.
struct EvictionSummary {
  double kept_tokens_per_head_mean = 0.0;
  std::optional<LossFigures> decode;
  std::optional<LossFigures> uniform;
  std::optional<LossFigures> observation;
  RatioToUniform ratio;
};

/// A plan's outcome.
struct EvictionResult {
  EvictionPlan plan;
  std::string method_name;         ///< "h2o-window" where H2O saw only part of the prompt
  std::int64_t budget_tokens = 0;  ///< tokens a head that the budget means on this trace
  kernels::Backend backend = kernels::Backend::kCpu;
  std::int64_t queries_used = 0;  ///< prompt queries behind the scores
  Losses losses = Losses::kProjected;
  bool bound = false;
  std::vector<LayerEviction> layers;
  EvictionSummary summary;
  std::vector<std::string> warnings;
};

/// mass, projected.
[[nodiscard]] std::string_view name_of(Losses losses) noexcept;
/// Inverse of name_of. Throws Error(kUsage) listing the names.
[[nodiscard]] Losses losses_from_name(std::string_view name);

/// Replays every plan on `trace`. Attention, the order of scores and the losses of equal selections
/// are computed once a layer and shared by all plans and their uniform twins. Memory is bounded by
/// one KV head, a layer's outputs of some hundred plans, and the results. A plan's result depends
/// neither on the other plans nor on the number of threads. Throws Error(kUsage) for a layer that
/// was not captured or parameters that the trace cannot serve (window larger than the captured
/// prompt queries), or a shape that the backend has no kernel for; Error(kMissingCapability) if the
/// backend cannot run here.
[[nodiscard]] std::vector<EvictionResult> replay_eviction(const traces::Trace& trace,
                                                          std::span<const EvictionPlan> plans,
                                                          const EvictionOptions& options,
                                                          const Progress& progress = {});

/// Indices into header().captured_layers of the wanted model layers, all if empty.
/// Throws Error(kUsage) naming a layer that was not captured and those that were.
[[nodiscard]] std::vector<std::size_t> captured_indices(const traces::Trace& trace,
                                                        std::span<const std::int64_t> layers);

}  // namespace kvsieve::sim
