#pragma once
// What an eviction costs, from the definitions and in double precision: the output after eviction
// is a new softmax with the evicted cells at -inf, not a rescaling of the old one.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention/dense_attention_reference.h"

namespace kvsieve::kernels::tests {

/// One query head under one selection, everything per query.
struct HeadLossReference {
  Matrix output;              ///< [R, d] o
  Matrix kept_output;         ///< [R, d] o^
  std::vector<double> mass;   ///< [R] F
  std::vector<double> total;  ///< [R] T
  std::vector<double> kept;   ///< [R] K
};

/// @param queries [R, d] of one query head @param norms [T] value norms, may be empty
[[nodiscard]] HeadLossReference reference_head_loss(const Matrix& queries,
                                                    std::span<const std::int32_t> positions,
                                                    const Matrix& keys, const Matrix& values,
                                                    const traces::AttentionSpec& attention,
                                                    std::span<const std::int32_t> kept_tokens,
                                                    std::span<const double> norms);

}  // namespace kvsieve::kernels::tests
