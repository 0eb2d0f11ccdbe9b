#pragma once
// The scorer, group-reduce and pooling stages of eviction methods over one layer of a trace.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/sim/eviction_method.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// What determines a layer's scores; plans that agree in it share them.
struct ScoreStages {
  Scorer scorer = Scorer::kNone;
  kernels::Pooling pool;
  kernels::GroupReduce group_reduce = kernels::GroupReduce::kMean;
  Granularity granularity = Granularity::kKvHead;
  std::int64_t window = 0;
  std::uint64_t seed = 0;

  explicit ScoreStages(const EvictionMethod& method);
  bool operator==(const ScoreStages&) const = default;
};

/// Scores of every allocation unit over the prompt tokens outside the window, [units, n - w].
struct UnitScores {
  std::int64_t units = 0;
  std::int64_t tokens = 0;
  std::vector<float> data;

  [[nodiscard]] kernels::MatrixView<float> view() { return {data.data(), units, tokens}; }
  [[nodiscard]] kernels::MatrixView<const float> view() const {
    return {data.data(), units, tokens};
  }
};

/// Prompt queries that the scorer reads; 0 if it reads none.
/// Throws Error(kUsage) if the trace captured too few for the window.
[[nodiscard]] std::int64_t queries_needed(const traces::Trace& trace, const ScoreStages& stages);

/// Scores of the engine's present layer for several stages at once.
[[nodiscard]] std::vector<UnitScores> score_layer(const traces::Trace& trace,
                                                  const traces::TraceLayer& layer,
                                                  std::span<const ScoreStages> stages,
                                                  kernels::EvictionEngine& engine);

}  // namespace kvsieve::sim
