#pragma once
// Choosing which tokens of a head stay, given how many.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// Appends to `selected` the indices of the `count` largest scores, ascending.
/// Which: the largest. Ties: the lower index. Order: ascending. Deterministic on every backend.
/// @param scores [m] finite; -0 equals +0 @param count 0 <= count; more than m takes all
void select_tokens(std::span<const float> scores, std::int64_t count,
                   std::vector<std::int32_t>& selected);

/// Which tokens every head of a layer keeps: head i's are tokens[offsets[i]] up to
/// tokens[offsets[i + 1]].
struct LayerSelection {
  std::vector<std::int64_t> offsets;  ///< [h + 1]
  std::vector<std::int32_t> tokens;
};

/// For each head the budgets[i] tokens that select_tokens takes of its scores, then the window's:
/// m up to m + window - 1. Replaces `selection`, reusing its memory. Parallel over heads.
/// @param scores [h, m] finite @param budgets [h]; below 0 takes none, more than m takes all
/// Throws Error(kUsage) if the number of budgets is not h or the window is negative.
void select_layer_tokens(MatrixView<const float> scores, std::span<const std::int64_t> budgets,
                         std::int64_t window, LayerSelection& selection);

/// CriticalKV's two stages (arXiv 2502.03805, theorem 3.5): the first count / 2 by score, the rest
/// of `count` by score * norm among those left. Order and ties as select_tokens.
/// @param scores [m], >= 0 @param norms [m], ||v_j W_O||_1
void select_tokens_critical(std::span<const float> scores, std::span<const float> norms,
                            std::int64_t count, std::vector<std::int32_t>& selected);

/// Work of select_tokens: a pass over the scores for each of three digits, and one that lists.
[[nodiscard]] constexpr Work token_selection_work(std::int64_t m, std::int64_t count) {
  return {4 * m * 4, count * 4, 0};
}

}  // namespace kvsieve::kernels
