#pragma once
// Running a sweep: which points are still to do, in which order, and into which store.

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_evaluator.h"
#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::sim {

/// Points that are evaluated together, and their keys.
struct SweepChunk {
  std::vector<SweepPoint> points;
  std::vector<std::string> keys;
};

/// The points whose keys are not among `finished` (ascending), in chunks: points of one trace
/// together, so that they share its scoring, in the order of the traces' first points. A chunk of
/// points with a trace has at most 256, one without at most `cost_points`.
/// @param context of the canonical points
[[nodiscard]] std::vector<SweepChunk> sweep_chunks(std::span<const SweepPoint> points,
                                                   const nlohmann::ordered_json& context,
                                                   std::span<const std::string> finished,
                                                   std::size_t cost_points = 1024);

/// How far a sweep is.
struct SweepState {
  std::int64_t total = 0;     ///< points of this process's share
  std::int64_t finished = 0;  ///< of these, earlier runs' included
  std::int64_t failed = 0;
  std::int64_t reused = 0;  ///< finished before this run
  bool stopped = false;     ///< before all points were finished
};
/// The state before any of `chunks`, which are what is left of `points`, was evaluated.
[[nodiscard]] SweepState state_before(std::span<const SweepPoint> points,
                                      std::span<const SweepChunk> chunks);

/// Stores a chunk's rows in one transaction and counts them.
void record(std::span<const SweepRow> rows, SweepStore& store, SweepState& state);

/// Called between chunks and while they are computed. @param share of all points
using SweepProgress = std::function<void(const SweepState&, double share)>;

/// Evaluates what `store` lacks of `points`. Every chunk is one transaction.
/// @param stop asked between chunks: true ends the sweep there
[[nodiscard]] SweepState run_sweep(std::span<const SweepPoint> points,
                                   const nlohmann::ordered_json& context, SweepEvaluator& evaluator,
                                   SweepStore& store, const SweepProgress& progress = {},
                                   const std::function<bool()>& stop = {});

}  // namespace kvsieve::sim
