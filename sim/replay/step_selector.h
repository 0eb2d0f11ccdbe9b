#pragma once
// Who picks the tokens that a query head retrieves at a decode step. The replay measures whatever
// was picked, so a device backend may do the picking.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "replay/head_codes.h"

namespace kvsieve::sim {

/// A KV head before its steps are selected.
struct SelectorHead {
  const HeadCodes* codes = nullptr;               ///< null unless the scorer works with a codebook
  kernels::MatrixView<const float> near_queries;  ///< [G * m, d] rotated to their positions
  kernels::MatrixView<const float> far_queries;   ///< [G * m, d] rotated by the constant distance
};

/// A layer before its steps are selected. Queries are in the order member, step.
struct SelectorLayer {
  const traces::TraceLayer& layer;
  std::int64_t first_position = 0;     ///< of step 0; later steps follow one by one
  std::span<const std::int64_t> tops;  ///< [m, Hq] K of a step and query head, at most its eligible
  std::vector<SelectorHead> heads;     ///< [Hkv]
};

/// One query head at one decode step.
struct SelectorQuery {
  std::int64_t q_head = 0;
  std::int64_t step = 0;
  kernels::TokenRange eligible;
  std::int64_t top = 0;           ///< K
  std::span<const float> scores;  ///< the scorer's by token, valid at eligible tokens
  std::span<const float> exact;   ///< the true ones by token, [0, i]
};

/// What a KV head's replay gave, [m, d] of each of its query heads.
struct SelectorOutputs {
  std::vector<kernels::MatrixView<const float>> dense;       ///< attention over all tokens
  std::vector<kernels::MatrixView<const float>> difference;  ///< minus that over the attended ones
};

/// Picks tokens.
class StepSelector {
 public:
  virtual ~StepSelector() = default;

  /// Called before the first step of each layer, in the order of the replay. What the layer views
  /// lives until the layer's last step was selected.
  virtual void begin_layer(const SelectorLayer& /*layer*/) {}

  /// Replaces `chosen` by at most `query.top` eligible tokens, ascending. Called from several
  /// threads, in no order.
  virtual void select(const SelectorQuery& query, std::vector<std::int32_t>& chosen) const = 0;

  /// Called behind the last step of each KV head.
  virtual void end_head(std::int64_t /*kv_head*/, const SelectorOutputs& /*outputs*/) {}
};

/// The selector of `options`: the top K by the scorer's scores, or as many of them as a threshold
/// by mass needs.
[[nodiscard]] std::unique_ptr<StepSelector> make_step_selector(const RetrievalOptions& options);

/// replay_retrieval with another selector: its tokens are measured.
[[nodiscard]] RetrievalResult replay_selections(const traces::Trace& trace,
                                                const RetrievalOptions& options,
                                                StepSelector& selector,
                                                const Progress& progress = {});

}  // namespace kvsieve::sim
