#pragma once
// The tasks of one layer of a decode step: those of kernels::decode_step_graph, with the model's
// dense layers around them.

#include <vector>

#include "kvsieve/sim/step_cost.h"

namespace kvsieve::sim {

/// A task of a layer. It waits for the tasks of the same layer in `after`, and for the one before
/// it on its lane and micro-batch.
struct LayerTask {
  CostStage stage{};
  std::int32_t micro_batch = 0;
  std::vector<std::int32_t> after;  ///< indices into the layer's tasks
};

/// The tasks of a layer in the order in which they are issued. @param sliding of a layer that sees
/// a window only, whose cache stays on the GPU
[[nodiscard]] std::vector<LayerTask> layer_tasks(const CostMethod& method, bool sliding,
                                                 std::int64_t micro_batches);

}  // namespace kvsieve::sim
