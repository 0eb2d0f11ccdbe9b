#pragma once
// Attention of one head of a trace over all positions, computed from its keys and queries.

#include <cstdint>
#include <optional>
#include <vector>

#include "core/jobs.h"
#include "core/selection.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/sim/eviction_method.h"
#include "kvsieve/sim/run_view.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::gui {

/// How a method scores tokens, as far as attention and keys decide it.
struct ScoreRecipe {
  enum class Source { kWindowAttention, kAttentionSum, kLastQuery, kKeyNorm, kRecency };
  Source source = Source::kWindowAttention;
  std::int64_t window = 32;
  kernels::Pooling pool;
  kernels::GroupReduce group_reduce = kernels::GroupReduce::kMean;

  bool operator==(const ScoreRecipe&) const = default;
};

/// The recipe of an eviction run; nothing if its scores do not come from the trace (random, full),
/// or if it is a retrieval run.
[[nodiscard]] std::optional<ScoreRecipe> score_recipe(const sim::RunView& run);

/// The attention of an allocation unit: softmax over all keys that a query sees at their true RoPE
/// positions, in fp32, with the layer's scale, softcap and sliding window. Holds the keys of one KV
/// head. For worker threads. The trace must outlive it.
class AttentionRow {
 public:
  /// @param query_head whether `unit.head` is a query head; a KV head otherwise, which stands for
  /// the query heads of its group
  /// Throws Error(kBadInput) if the trace has no such layer or head.
  AttentionRow(const traces::Trace& trace, const HeadId& unit, bool query_head);

  /// [T] of one query head at one captured query (an index into Trace::query_positions).
  [[nodiscard]] std::vector<float> of_query(std::int64_t q_head, std::int64_t query) const;
  /// [T] mean over the unit's query heads at one decode step, from 0.
  [[nodiscard]] std::vector<float> of_step(std::int64_t step) const;
  /// [T] mean over the unit's query heads and all decode steps; empty without decode steps. A token
  /// counts as zero for steps before it, so that the whole sums to 1.
  [[nodiscard]] std::vector<float> mean_over_steps(const JobControl& control) const;
  /// [n - window] scores of the tokens that the method may drop, as it sees them; empty if the
  /// trace captured too few prompt queries.
  [[nodiscard]] std::vector<float> scores(const ScoreRecipe& recipe,
                                          const JobControl& control) const;

 private:
  struct Head {
    std::int64_t kv_head;
    const kernels::HeadKeys& keys;
  };
  [[nodiscard]] std::vector<float> group_means(const Head& head, std::int64_t first_query,
                                               std::int64_t count, std::int64_t tokens) const;
  [[nodiscard]] std::vector<float> unit_mean(std::int64_t first_query, std::int64_t count) const;

  const traces::Trace& m_trace;
  traces::TraceLayer m_layer;
  kernels::RopePhases m_phases;
  kernels::HeadKeys m_keys;
  std::int64_t m_kv_head;
  std::int64_t m_first_member = 0;  ///< of the group
  std::int64_t m_members = 1;
};

}  // namespace kvsieve::gui
