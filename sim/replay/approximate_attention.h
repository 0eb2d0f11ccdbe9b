#pragma once
// The attention of a query as a scorer sees it: true scores on sinks and window, which are always
// computed, and the scorer's on eligible tokens.

#include <span>

#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::sim {

/// Softmax over all tokens.
struct ApproximateAttention {
  double log_sum = 0.0;   ///< natural logarithm of the sum of exp(score)
  double resident = 0.0;  ///< share of the tokens that are not eligible

  /// @param scores the scorer's by token, valid at eligible tokens
  /// @param exact [i + 1] the true ones
  ApproximateAttention(const kernels::TokenRange& eligible, std::span<const float> scores,
                       std::span<const float> exact);

  /// Share of a token with this score.
  [[nodiscard]] double share(float score) const;
};

}  // namespace kvsieve::sim
