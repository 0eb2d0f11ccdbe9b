#pragma once
// One KV head of a retrieval replay: every decode step's selection, and what it loses.

#include <cstdint>
#include <optional>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/key_encoding.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "replay/page_bounds.h"

namespace kvsieve::sim {

/// The codes of all T tokens of a KV head and what they stand for. Tokens that a decode step adds
/// get their code as they arrive; it is the one they would get in one pass.
struct HeadCodes {
  kernels::HeadKeys codewords;
  std::vector<std::uint16_t> codes;

  /// @param codewords [C, d] @param cholesky [d, d] @param keys [T, d] before RoPE
  HeadCodes(const kernels::HeadSlice& codewords, const kernels::HeadSlice& cholesky,
            const kernels::HeadSlice& keys);
  [[nodiscard]] CodeUsage usage() const;
};

/// One query head at one step.
struct QueryStep {
  double recall = 0.0;
  double recall_vs_wrope = 0.0;
  double wrope_recall = 0.0;
  double captured_mass = 0.0;
  double retrieved_mass = 0.0;
  double output_error = 0.0;
  double boundary_ties = 0.0;
  kernels::ScoreErrorSums wrope_error;
  kernels::ScoreErrorSums vq_error;
};

/// A KV head ready to be replayed. Keeps its memory from head to head.
class RetrievalHead {
 public:
  RetrievalHead(const traces::Trace& trace, const RetrievalOptions& options)
      : m_trace(trace), m_options(options) {}

  /// Loads keys, values and decode queries. `codes` is null unless the scorer works with codes;
  /// it and `layer` must live until run() has returned.
  void load(const traces::TraceLayer& layer, std::int64_t kv_head,
            const kernels::RopePhases& phases, const HeadCodes* codes);

  /// Replays all decode steps; fills steps() and outputs. Parallel over blocks of steps.
  void run();

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

  void load_far_queries(const traces::TraceLayer& layer, std::int64_t kv_head);
  [[nodiscard]] kernels::MatrixView<const float> output_rows(const std::vector<float>& rows,
                                                             std::int64_t member) const;
  [[nodiscard]] std::int64_t top_at(std::int64_t step, const kernels::TokenRange& eligible) const;
  [[nodiscard]] std::int64_t position(std::int64_t step) const {
    return m_trace.header().prompt_tokens + step;
  }

  const traces::Trace& m_trace;
  const RetrievalOptions& m_options;
  traces::AttentionSpec m_attention;
  const HeadCodes* m_codes = nullptr;
  std::int64_t m_layer = 0;
  std::int64_t m_kv_head = 0;
  std::int64_t m_group = 0;
  std::int64_t m_step_count = 0;
  kernels::HeadKeys m_near_keys;  // rotated to their positions
  kernels::HeadKeys m_far_keys;   // before RoPE
  kernels::HeadValues m_values;
  PageBounds m_pages;
  std::vector<float> m_near_queries;                   // [G, m, d] rotated to their positions
  std::vector<float> m_far_queries;                    // [G, m, d] rotated by the constant distance
  std::vector<float> m_dense;                          // [G, m, d rounded up to 16]
  std::vector<float> m_difference;                     // the same
  std::vector<QueryStep> m_query_steps;                // [G, m]
  std::vector<HeadStep> m_steps;                       // [m]
  std::vector<std::vector<std::int32_t>> m_retrieved;  // unions of the steps in flight
};

}  // namespace kvsieve::sim
