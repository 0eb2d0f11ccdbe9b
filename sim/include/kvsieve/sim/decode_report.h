#pragma once
// What running A2ATS's heterogeneous decode step on a backend has shown.

#include <optional>
#include <vector>

#include "kvsieve/kernels/backend.h"
#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/kernels/retrieval_ledger.h"

namespace kvsieve::sim {

/// Measured time of one stage: means over decode steps, summed over layers, of one sequence.
struct StageLatency {
  kernels::StepStage stage{};
  double mean_us = 0.0;
  double max_us = 0.0;  ///< of the slowest step
};

/// One backend's decode steps.
struct DecodeReport {
  kernels::Backend backend = kernels::Backend::kCpu;
  kernels::Schedule schedule = kernels::Schedule::kSerial;
  std::int64_t sequences = 1;  ///< decoded side by side, all of them this trace
  /// Measured, by stage in the order of a step; empty on simt, where time means nothing.
  std::vector<StageLatency> stages;
  std::optional<double> step_us;  ///< measured mean of a step of all sequences
  /// What the backend counted on the bus, all steps of one sequence; absent where it cannot count.
  std::optional<kernels::StepTraffic> counted;
  /// The ledger's figure for the same steps.
  kernels::StepTraffic ledger;
  /// Largest ||o - o'||_2 / ||o'||_2 of a layer and step, o the backend's attention output and o'
  /// the replay's in fp32 on the same tokens.
  double output_deviation = 0.0;
};

}  // namespace kvsieve::sim
