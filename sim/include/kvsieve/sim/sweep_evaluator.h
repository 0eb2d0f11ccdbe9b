#pragma once
// What a sweep's points cost to compute, once: replays depend on trace and method alone, so that
// points which differ in hardware, context or batch share one, and all eviction points of a trace
// share the scoring of its layers.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kvsieve/sim/cost_report.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::sim {

/// A point, read: what to replay, if anything, and what to cost.
struct SweepTask {
  std::string trace;  ///< path; empty for the cost alone
  /// Of a trace: the plan with its options, or the retrieval method.
  struct Eviction {
    EvictionPlan plan;
    EvictionOptions options;
  };
  std::variant<std::monostate, Eviction, RetrievalOptions> replay;
  /// Whether the point has a cost, and of what: its method is the replay's where there is one.
  bool costs = true;
  CostRequest cost;
};

/// Turns a point's options into a task. Throws Error for options that do not go together; the point
/// then fails with its message.
using SweepReader = std::function<SweepTask(const SweepPoint&)>;

/// Evaluates points. Results do not depend on how points are divided into calls, nor on threads.
class SweepEvaluator {
 public:
  /// @param cache folder for replays' results by content hash, created if missing; empty for none
  SweepEvaluator(SweepReader reader, std::filesystem::path cache);
  SweepEvaluator(SweepEvaluator&&) noexcept;
  SweepEvaluator& operator=(SweepEvaluator&&) noexcept;
  ~SweepEvaluator();

  /// One row a point, in their order; a point that cannot be computed has an error instead of
  /// metrics. `progress` gets the share that is finished; what it throws ends the call.
  /// @param keys of the points, see point_key
  [[nodiscard]] std::vector<SweepRow> evaluate(std::span<const SweepPoint> points,
                                               std::span<const std::string> keys,
                                               const Progress& progress = {});

  /// Replays that were computed, and that a cache had, so far.
  [[nodiscard]] std::int64_t replays() const noexcept;
  [[nodiscard]] std::int64_t cache_hits() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace kvsieve::sim
