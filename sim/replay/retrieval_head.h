#pragma once
// One KV head of a retrieval replay: every decode step's selection, and what it loses.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "replay/adaptive_tops.h"
#include "replay/head_index.h"
#include "replay/step_selector.h"

namespace kvsieve::sim {

/// One query head at one step.
struct QueryStep {
  std::int64_t selected = 0;  ///< |S|, tokens that it retrieves
  double recall = 0.0;
  double recall_vs_wrope = 0.0;
  double wrope_recall = 0.0;
  double captured_mass = 0.0;
  double retrieved_mass = 0.0;
  double output_error = 0.0;
  double boundary_ties = 0.0;
  kernels::ScoreErrorSums wrope_error;  ///< exact windowed RoPE against RoPE
  kernels::ScoreErrorSums vq_error;     ///< codes against what they approximate
  kernels::ScoreErrorSums score_error;  ///< the scorer against RoPE
};

/// A KV head ready to be replayed. Keeps its memory from head to head.
class RetrievalHead {
 public:
  RetrievalHead(const traces::Trace& trace, const RetrievalOptions& options)
      : m_trace(trace), m_options(options) {}

  /// Loads keys and values. `layer` and `index` must live until run() has returned.
  void load(const traces::TraceLayer& layer, std::int64_t kv_head,
            const kernels::RopePhases& phases, const HeadIndex& index);

  /// Hands the attention that the scorer expects to `tops`. Parallel over blocks of steps.
  void rank(AdaptiveTops& tops);

  /// Replays all decode steps; fills steps() and outputs. Parallel over blocks of steps.
  /// @param tops [m, Hq] K of a step and query head of the layer
  void run(const StepSelector& selector, std::span<const std::int64_t> tops);

  /// [m], without l1_loss.
  [[nodiscard]] std::vector<HeadStep>& steps() noexcept { return m_steps; }
  /// Member g at step s.
  [[nodiscard]] const QueryStep& query_step(std::int64_t member, std::int64_t step) const {
    return m_query_steps[static_cast<std::size_t>(member * m_step_count + step)];
  }
  /// Attention over all tokens, [m, d] of member g.
  [[nodiscard]] kernels::MatrixView<const float> dense(std::int64_t member) const {
    return output_rows(m_dense, member);
  }
  /// Attention over all tokens minus attention over the attended ones, [m, d] of member g.
  [[nodiscard]] kernels::MatrixView<const float> difference(std::int64_t member) const {
    return output_rows(m_difference, member);
  }

 private:
  struct Scratch;
  class Block;

  template <class Use>
  void for_blocks(std::int64_t first, std::int64_t last, Use use);

  [[nodiscard]] kernels::MatrixView<const float> output_rows(const std::vector<float>& rows,
                                                             std::int64_t member) const;
  [[nodiscard]] std::int64_t position(std::int64_t step) const {
    return m_trace.header().prompt_tokens + step;
  }

  const traces::Trace& m_trace;
  const RetrievalOptions& m_options;
  traces::AttentionSpec m_attention;
  const HeadIndex* m_index = nullptr;
  const StepSelector* m_selector = nullptr;
  std::span<const std::int64_t> m_tops;
  std::int64_t m_kv_head = 0;
  std::int64_t m_group = 0;
  std::int64_t m_step_count = 0;
  kernels::HeadKeys m_near_keys;  // rotated to their positions
  kernels::HeadKeys m_far_keys;   // before RoPE
  kernels::HeadValues m_values;
  std::vector<float> m_dense;                          // [G, m, d rounded up to 16]
  std::vector<float> m_difference;                     // the same
  std::vector<QueryStep> m_query_steps;                // [G, m]
  std::vector<HeadStep> m_steps;                       // [m]
  std::vector<std::vector<std::int32_t>> m_retrieved;  // unions of the steps in flight
};

}  // namespace kvsieve::sim
