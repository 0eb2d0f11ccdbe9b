#include "cost/layer_tasks.h"

namespace kvsieve::sim {
namespace {

CostStage stage_of(kernels::StepStage stage) {
  switch (stage) {
    case kernels::StepStage::kRotate:
      return CostStage::kRotate;
    case kernels::StepStage::kEncode:
      return CostStage::kEncode;
    case kernels::StepStage::kScore:
      return CostStage::kScore;
    case kernels::StepStage::kTopK:
      return CostStage::kTopK;
    case kernels::StepStage::kUnion:
      return CostStage::kUnion;
    case kernels::StepStage::kDown:
      return CostStage::kDown;
    case kernels::StepStage::kAppend:
      return CostStage::kAppend;
    case kernels::StepStage::kCpuAttention:
      return CostStage::kCpuAttention;
    case kernels::StepStage::kUp:
      return CostStage::kUp;
    case kernels::StepStage::kFetch:
      return CostStage::kFetch;
    case kernels::StepStage::kFetchedAttention:
      return CostStage::kFetchedAttention;
    case kernels::StepStage::kResidentAttention:
      return CostStage::kResidentAttention;
    case kernels::StepStage::kMerge:
      break;
  }
  return CostStage::kMerge;
}

}  // namespace

std::vector<LayerTask> layer_tasks(const CostMethod& method, bool sliding,
                                   std::int64_t micro_batches) {
  std::vector<LayerTask> tasks;
  if (sliding || method.family != CostFamily::kRetrieval) {
    for (std::int32_t batch = 0; batch < micro_batches; ++batch) {
      for (const CostStage stage :
           {CostStage::kQkv, CostStage::kAttention, CostStage::kOutput, CostStage::kMlp}) {
        tasks.push_back({stage, batch, {}});
      }
    }
    return tasks;
  }
  const std::vector<kernels::StepTask> graph =
      kernels::decode_step_graph({1, method.placement, method.schedule});
  // Where each task of the graph ended up among these. The GPU's stages around it need no
  // dependency: they run on the GPU's lane too.
  std::vector<std::int32_t> moved;
  for (const kernels::StepTask& task : graph) {
    if (task.stage == kernels::StepStage::kRotate) {
      tasks.push_back({CostStage::kQkv, task.micro_batch, {}});
    }
    if (task.stage == kernels::StepStage::kCpuAttention && method.index.on_host) {
      // Scored where it lies, once the query is there: behind the append on the CPU's lane.
      tasks.push_back({CostStage::kCpuScore, task.micro_batch, {}});
    }
    moved.push_back(static_cast<std::int32_t>(tasks.size()));
    LayerTask& added = tasks.emplace_back(LayerTask{stage_of(task.stage), task.micro_batch, {}});
    for (const std::int32_t before : task.after) {
      added.after.push_back(moved[static_cast<std::size_t>(before)]);
    }
    if (task.stage == kernels::StepStage::kMerge) {
      tasks.push_back({CostStage::kOutput, task.micro_batch, {}});
      tasks.push_back({CostStage::kMlp, task.micro_batch, {}});
    }
  }
  return tasks;
}

}  // namespace kvsieve::sim
