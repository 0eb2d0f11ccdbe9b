#pragma once
// Means over a retrieval replay's records.

#include <span>
#include <vector>

#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// What figures depend on besides the records.
struct FigureContext {
  std::int64_t group = 1;
  std::int64_t head_dim = 0;
  std::int64_t element_bytes = 2;
  bool retrieves = true;  ///< the scorer is not kNone
  bool hot_buffer = false;
  IndexBytes index;

  FigureContext(const traces::TraceHeader& header, const RetrievalOptions& options);
};

/// Means over steps of one KV head; traffic a step. Score errors are left absent.
[[nodiscard]] RetrievalFigures figures_of(std::span<const HeadStep> steps,
                                          const FigureContext& context);

/// Means of figures, each over those that have it; traffic is summed, its messages too.
[[nodiscard]] RetrievalFigures mean_figures(std::span<const RetrievalFigures> parts);

/// Means of losses.
[[nodiscard]] ProjectedLoss mean_loss(std::span<const ProjectedLoss> parts);

}  // namespace kvsieve::sim
