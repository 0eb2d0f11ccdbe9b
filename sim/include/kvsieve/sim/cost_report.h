#pragma once
// Everything that the model says of one point, and its document (schema kvsieve.cost/1).

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/sim/accuracy.h"
#include "kvsieve/sim/step_cost.h"

namespace kvsieve::sim {

/// A point with where it runs.
struct CostRequest {
  HardwareProfile hardware;
  ModelDimensions model;
  CostPoint point;
  bool largest_batch = false;  ///< instead of point.batch, the largest that fits
  StepLoads loads;             ///< captured; empty for the load that the method states
  std::int64_t steps = 1;      ///< of the timeline, where loads are captured
};

/// A stage's time on the critical path, a step.
struct CriticalStage {
  CostStage stage{};
  double us = 0.0;
};

/// Full attention on the same hardware: its step at the same batch where that fits, and the most
/// tokens a second that it reaches.
struct FullAttention {
  std::optional<double> step_us;
  std::int64_t largest_batch = 0;
  std::optional<double> best_tokens_per_second;
};

/// What a step's time may be, by the median errors of its stages' regimes.
struct StepBand {
  double low_us = 0.0;
  double high_us = 0.0;
  double covered_share = 0.0;  ///< of the stages' time lies in regimes with measured rows
};

/// What the model says of one point.
struct CostFigures {
  StepCost cost;
  std::int64_t batch = 1;  ///< that was used
  double prefill_us = 0.0;
  MemoryLedger memory;
  std::int64_t largest_batch = 0;
  bool fits = false;
  StepBand band;
  std::vector<double> step_us;               ///< each step of a captured timeline
  std::vector<CriticalStage> critical_path;  ///< sums over it, of captured timelines, a step
  FullAttention full;
};

struct CostReport : CostFigures {
  CostRequest request;  ///< with the batch that was used
};

/// Costs one point. With captured loads its timeline of `steps` steps is simulated whole.
/// Throws Error(kUsage) for latent attention, or if the largest batch is wanted and none fits.
[[nodiscard]] CostReport cost_report(CostRequest request);

/// The same on a model of `hardware` that several points share.
/// @param largest_batch instead of the point's, the largest that fits
/// @param loads captured; empty for the load that the method states @param steps of the timeline
[[nodiscard]] CostFigures cost_figures(const HardwareProfile& hardware, const StepModel& model,
                                       const CostPoint& point, bool largest_batch,
                                       const StepLoads& loads, std::int64_t steps);

/// The timeline behind a report: of the captured loads, or of `steps` stated ones.
[[nodiscard]] Timeline cost_timeline(const CostRequest& request);

[[nodiscard]] nlohmann::ordered_json to_json(const CostReport& report);
/// One object a term: name, value, unit, formula, inputs, source.
[[nodiscard]] nlohmann::ordered_json to_json(const CostTerms& terms);

}  // namespace kvsieve::sim
