#pragma once
// The modelled cost of a decode step: stage by stage, as a schedule of GPU, link and host, and as
// memory. Everything here is modelled; nothing is measured.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvsieve/sim/capacity.h"
#include "kvsieve/sim/cost_method.h"
#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/model_dimensions.h"
#include "kvsieve/sim/operation_time.h"
#include "kvsieve/sim/timeline.h"
#include "kvsieve/sim/transfer_time.h"

namespace kvsieve::sim {

/// What a step is made of: the stages of kernels::StepStage, and the model around them.
enum class CostStage {
  kQkv,        ///< norm, projections, RoPE
  kAttention,  ///< over a cache on the GPU: full, kept, or a sliding window
  kRotate,
  kEncode,
  kScore,
  kTopK,
  kUnion,
  kDown,
  kAppend,
  kCpuScore,  ///< an index on the host is scored there
  kCpuAttention,
  kUp,
  kFetch,
  kFetchedAttention,
  kResidentAttention,
  kMerge,
  kOutput,  ///< projection of the attention's output
  kMlp,     ///< norm and MLP or experts
  kLogits,  ///< norm and output embedding
  kSampling,
  kEngine,  ///< what a serving engine adds to a step, where it was calibrated
};
inline constexpr std::size_t kCostStages = 21;
/// qkv, attention, rotate, encode, score, topk, union, down, append, cpu-score, cpu-attention, up,
/// fetch, fetched-attention, resident-attention, merge, output, mlp, logits, sampling, engine.
[[nodiscard]] std::string_view name_of(CostStage stage) noexcept;
/// The lane of a stage.
[[nodiscard]] Lane lane_of(CostStage stage) noexcept;

/// One model point.
struct CostPoint {
  CostMethod method;
  std::int64_t context = 0;  ///< tokens that are cached when the step begins
  std::int64_t batch = 1;    ///< sequences that decode side by side
  CapacityOptions capacity;
};

/// A stage of a step, all layers and sequences.
struct StageCost {
  CostStage stage{};
  double us = 0.0;          ///< run alone
  double bytes = 0.0;       ///< over the link
  double pieces = 0.0;      ///< of these transfers
  std::string_view regime;  ///< of its largest part, as `validate` names regimes; empty: no rows
};

/// A step.
struct StepCost {
  double step_us = 0.0;
  double tokens_per_second = 0.0;
  double exposed_transfer_us = 0.0;  ///< time in which only the link works
  double serial_us = 0.0;            ///< the stages one after another
  std::vector<StageCost> stages;     ///< that the step has, in the order of CostStage
  double to_gpu_bytes = 0.0;         ///< over the link, a step
  double to_host_bytes = 0.0;
  std::array<double, kLanes> utilisation{};  ///< busy time of each lane / step_us
  double host_memory_utilisation = 0.0;
};

/// What a stage of the GPU or the host computes in a step, all layers and sequences.
struct StageWork {
  CostStage stage{};
  double us = 0.0;            ///< run alone
  double memory_bytes = 0.0;  ///< that cross its memory
  double flops = 0.0;
};

/// The cost model of one model on one profile.
class StepModel {
 public:
  /// Throws Error(kUsage) for latent attention.
  StepModel(const HardwareProfile& profile, ModelDimensions model);

  /// One step with the load that the method states, or with `load` in every layer.
  /// Overlapped schedules are simulated for a few periods of the layers; the rest repeat the last.
  [[nodiscard]] StepCost step(const CostPoint& point,
                              const std::optional<LayerLoad>& load = std::nullopt) const;

  /// Every term of that step's stages, of a global layer and of a sliding one, and of the whole.
  [[nodiscard]] CostTerms explain(const CostPoint& point,
                                  const std::optional<LayerLoad>& load = std::nullopt) const;

  /// The work of that step's stages but transfers, in the order of CostStage: where they stand
  /// under the hardware's roofs.
  [[nodiscard]] std::vector<StageWork> work(
      const CostPoint& point, const std::optional<LayerLoad>& load = std::nullopt) const;

  /// Steps with captured loads, or `steps` of the stated one, as a timeline of every layer. The
  /// context grows by a token a step.
  [[nodiscard]] Timeline timeline(const CostPoint& point, const StepLoads& loads,
                                  std::int64_t steps) const;

  /// Totals of a simulated timeline: means over its steps.
  [[nodiscard]] StepCost totals(const CostPoint& point, const Timeline& timeline,
                                const TimelineResult& result) const;

  /// Time of prefill of a batch: dense layers, causal attention, window scoring or key encoding,
  /// and moving the cache to the host, as the method asks.
  [[nodiscard]] double prefill_us(const CostPoint& point, CostTerms* terms = nullptr) const;

  [[nodiscard]] const ModelDimensions& model() const noexcept { return m_model; }
  [[nodiscard]] bool is_sliding(std::int64_t layer) const noexcept {
    return m_sliding[static_cast<std::size_t>(layer)];
  }
  /// The layers' kinds repeat with this period: 1 for equal layers, 6 for one global layer in six.
  [[nodiscard]] std::int64_t layer_period() const noexcept { return m_layer_period; }

 private:
  friend class StageTimes;
  ModelDimensions m_model;
  OperationTimes m_gpu;
  TransferTimes m_link;
  HostTimes m_host;
  double m_engine_us;
  std::vector<bool> m_sliding;
  std::int64_t m_layer_period = 1;
};

}  // namespace kvsieve::sim
