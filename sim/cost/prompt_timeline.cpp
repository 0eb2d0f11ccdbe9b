#include "kvsieve/sim/prompt_timeline.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "cost/prompt_stages.h"
#include "kvsieve/kernels/stage_range.h"
#include "replay/eviction_selection.h"

namespace kvsieve::sim {
namespace {

constexpr std::int64_t kScoreElementBytes = 4;

class PromptTimeline {
 public:
  void add(std::string_view stage, std::int64_t layer, std::int64_t micro_batch, double us) {
    auto name = std::find(m_timeline.names.begin(), m_timeline.names.end(), stage);
    if (name == m_timeline.names.end()) {
      name = m_timeline.names.insert(name, std::string(stage));
    }
    TimelineTask& task = m_timeline.tasks.emplace_back();
    task.name = static_cast<std::int32_t>(name - m_timeline.names.begin());
    task.us = us;
    task.uses[static_cast<std::size_t>(SharedResource::kSms)] = us > 0.0 ? 1.0 : 0.0;
    task.layer = static_cast<std::int32_t>(layer);
    task.micro_batch = static_cast<std::int32_t>(micro_batch);
  }
  [[nodiscard]] Timeline take() { return std::move(m_timeline); }

 private:
  Timeline m_timeline;
};

PromptHeads heads_of(const traces::TraceHeader& trace) {
  return {static_cast<double>(trace.model.kv_heads), trace.model.q_heads / trace.model.kv_heads,
          trace.model.head_dim, static_cast<std::int64_t>(traces::size_of(trace.dtype))};
}

}  // namespace

Timeline prompt_timeline(const HardwareProfile& hardware, const traces::TraceHeader& trace,
                         const EvictionResult& result) {
  const OperationTimes gpu(hardware);
  const EvictionMethod& method = result.plan.method;
  const BudgetSplit split = split_budget(trace.prompt_tokens, result.budget_tokens, method);
  PromptTimeline timeline;
  for (const LayerEviction& layer : result.layers) {
    if (!layer.touched) {
      continue;
    }
    const auto units = static_cast<std::int64_t>(layer.heads.size());
    if (result.queries_used > 0 && trace.prompt_tokens > method.window) {
      PromptHeads scored = heads_of(trace);
      scored.element_bytes = kScoreElementBytes;
      timeline.add(kernels::kWindowScoresStage, layer.layer, 0,
                   window_scores_us(gpu, scored, result.queries_used, trace.prompt_tokens));
    }
    if (method.adaptive) {
      timeline.add(kernels::kAllocationStage, layer.layer, 0,
                   allocation_us(gpu, units, split.candidates));
    }
    timeline.add(kernels::kSelectionStage, layer.layer, 0,
                 selection_us(gpu, units, split.candidates, layer.budget_total, method.two_stage));
    PromptHeads kept = heads_of(trace);
    kept.kv_heads = static_cast<double>(units);
    timeline.add(kernels::kCompactionStage, layer.layer, 0,
                 compaction_us(gpu, kept, static_cast<double>(layer.budget_total)));
  }
  return timeline.take();
}

Timeline prompt_timeline(const HardwareProfile& hardware, const traces::TraceHeader& trace,
                         const RetrievalResult& result, std::int64_t codewords,
                         std::int64_t micro_batches) {
  const OperationTimes gpu(hardware);
  PromptTimeline timeline;
  for (std::int64_t batch = 0; batch < micro_batches; ++batch) {
    for (const LayerRetrieval& layer : result.layers) {
      if (layer.touched) {
        timeline.add(kernels::kKeyEncodingStage, layer.layer, batch,
                     key_encoding_us(gpu, heads_of(trace), static_cast<double>(trace.prompt_tokens),
                                     codewords));
      }
    }
  }
  return timeline.take();
}

}  // namespace kvsieve::sim
