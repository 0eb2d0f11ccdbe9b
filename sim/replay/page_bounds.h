#pragma once
// Quest's page scores: an upper bound of the score of any key in a page.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::sim {

/// The smallest and largest value of every channel over each whole page of 16 keys after RoPE.
/// bound = sum over t of max(q_t low_t, q_t high_t) = max(q, 0) . high + min(q, 0) . low, a product
/// of depth 2 d.
class PageBounds {
 public:
  /// Tokens beyond the last whole page are left out.
  void load(const kernels::HeadKeys& keys);

  [[nodiscard]] std::int64_t pages() const noexcept { return m_bounds.tokens(); }

  /// scores [R, pages], scores.stride >= pages rounded up to 16.
  /// @param queries [R, d] rotated @param split scratch
  void score(kernels::MatrixView<const float> queries, const traces::AttentionSpec& attention,
             std::vector<float>& split, kernels::MatrixView<float> scores) const;

 private:
  kernels::HeadKeys m_bounds;  // a page is a column [high, low]
};

}  // namespace kvsieve::sim
