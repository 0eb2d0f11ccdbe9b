#pragma once
// The retrieval replay from its definitions: scalar loops in double precision, full sorts, sets and
// lists, one head and step at a time.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "sim/retrieval/scalar_attention.h"

namespace kvsieve::sim::tests {

/// One query head at one step.
struct ReferenceQuery {
  double recall = 0.0;
  double recall_vs_wrope = 0.0;
  double wrope_recall = 0.0;
  double captured_mass = 0.0;
  double retrieved_mass = 0.0;
  double output_error = 0.0;
  Vector dense;   ///< [d] attention over all tokens
  Vector sparse;  ///< [d] attention over the attended ones
  std::vector<std::int32_t> chosen;
  std::int64_t top = 0;  ///< K that it was given
};

/// One KV head under one method.
struct ReferenceHead {
  std::vector<HeadStep> steps;                       ///< l1_loss included
  std::vector<std::vector<ReferenceQuery>> queries;  ///< [G][m]
  std::vector<std::vector<std::int32_t>> unions;     ///< [m]
  double wrope_mse = 0.0;
  double wrope_nmse = 0.0;
  double vq_mse = 0.0;
  double vq_nmse = 0.0;
  double score_mse = 0.0;
  double score_nmse = 0.0;
};

/// One layer under one method.
struct ReferenceRetrieval {
  std::vector<ReferenceHead> heads;
  std::vector<ProjectedLoss> steps;
};

/// Replays layer number `index` of the captured ones. `codebook` serves the VQ scorers; codes and
/// clusters are found by brute force, given the centroids. The random scorer has no reference.
[[nodiscard]] ReferenceRetrieval reference_retrieval(const traces::Trace& trace, std::size_t index,
                                                     const RetrievalOptions& options,
                                                     const Codebook* codebook);

}  // namespace kvsieve::sim::tests
