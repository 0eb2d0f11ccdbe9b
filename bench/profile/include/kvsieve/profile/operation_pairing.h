#pragma once
// Measured operations beside the modelled ones of the same decode step, layer and stage, and of
// what comes before the first step.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/profile/measured_timeline.h"
#include "kvsieve/sim/timeline.h"
#include "kvsieve/sim/validation.h"

namespace kvsieve::profile {

/// A stage of one step, layer and micro-batch on both sides.
struct OperationPair {
  std::string stage;
  sim::Lane lane = sim::Lane::kGpu;
  std::int32_t step = 0;  ///< -1 before the first one
  std::int32_t layer = 0;
  std::int32_t micro_batch = 0;
  double measured_us = 0.0;         ///< time in which one of its activities ran
  double gap_us = 0.0;              ///< between them
  double modelled_us = 0.0;         ///< run alone
  std::int64_t measured_bytes = 0;  ///< copied; what kernels read over the link cannot be seen
  std::int64_t modelled_bytes = 0;  ///< over the link

  /// modelled / measured - 1.
  [[nodiscard]] double error() const noexcept { return modelled_us / measured_us - 1.0; }
};

/// All pairs of a stage.
struct StageError {
  std::string stage;
  sim::Lane lane = sim::Lane::kGpu;
  double measured_median_us = 0.0;
  double gap_median_us = 0.0;
  double modelled_median_us = 0.0;
  std::int64_t measured_bytes = 0;  ///< sums
  std::int64_t modelled_bytes = 0;
  sim::ErrorFigures figures;
};

/// What one side has and the other not, by name and lane.
struct UnpairedOperations {
  std::string name;
  sim::Lane lane = sim::Lane::kGpu;
  std::int64_t operations = 0;
  double us = 0.0;  ///< sum
};

struct Pairing {
  std::vector<OperationPair> pairs;  ///< in the order of the modelled timeline
  std::vector<StageError> stages;    ///< in the order in which the model first has them
  std::vector<UnpairedOperations> measured_only;  ///< longest sum first
  std::vector<UnpairedOperations> modelled_only;  ///< longest sum first
};

/// Pairs operations of stages with the model's tasks of the same name, step, layer and micro-batch.
/// A task or operation without a time pairs with nothing; of several operations that would pair
/// with one task the first does.
/// @param prompt what is modelled before the first step, whatever step its tasks have
[[nodiscard]] Pairing pair_operations(std::span<const MeasuredOperation> measured,
                                      const sim::Timeline& prompt, const sim::Timeline& steps);

}  // namespace kvsieve::profile
