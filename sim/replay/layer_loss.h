#pragma once
// Losses of several selections on one layer of a trace, through its output projection.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// One way to evict on a layer.
struct Selection {
  Granularity granularity = Granularity::kKvHead;
  kernels::KeptTokens kept;  ///< a list a unit; decoded tokens are added to each
};

/// ||V_j W_O||_1 of every query head and token, [Hq, T].
struct ValueNorms {
  std::int64_t heads = 0;
  std::int64_t tokens = 0;
  std::vector<float> data;

  [[nodiscard]] kernels::MatrixView<const float> rows(std::int64_t first,
                                                      std::int64_t count) const {
    return {data.data() + first * tokens, count, tokens};
  }
  /// C_i of head i: the largest norm.
  [[nodiscard]] double largest(std::int64_t head) const;
};

[[nodiscard]] ValueNorms layer_value_norms(const traces::TraceHeader& header,
                                           kernels::EvictionEngine& engine);

/// What one selection loses on a set of queries.
struct SelectionLoss {
  struct Unit {
    double evicted_mass = 0.0;  ///< mean over queries and the unit's query heads
    double l1_loss = 0.0;       ///< mean over queries
  };
  std::vector<QueryLoss> queries;
  std::vector<Unit> units;
};

/// Losses of every selection on the captured queries [first_query, first_query + count) of the
/// engine's present layer. `norms` may be null: the bounds are then zero; so are the L1 terms
/// unless `projected`.
[[nodiscard]] std::vector<SelectionLoss> measure_layer(const traces::Trace& trace,
                                                       std::span<const Selection> selections,
                                                       const ValueNorms* norms, bool projected,
                                                       std::int64_t first_query, std::int64_t count,
                                                       kernels::EvictionEngine& engine);

}  // namespace kvsieve::sim
