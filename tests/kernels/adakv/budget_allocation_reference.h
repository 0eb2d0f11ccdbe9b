#pragma once
// Budget allocation by sorting every (head, token) cell of a layer.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/budget_allocation.h"

namespace kvsieve::kernels::tests {

/// Scores of a layer, one vector a head.
using Scores = std::vector<std::vector<float>>;
using Budgets = std::vector<std::int64_t>;

/// One score and where it is.
struct Cell {
  float score = 0.0F;
  std::int64_t head = 0;
  std::int64_t token = 0;
};

/// All cells, most important first: score descending, then head, then token ascending.
[[nodiscard]] std::vector<Cell> ranked_cells(const Scores& scores);

/// How many of the first `total` ranked cells each head has.
[[nodiscard]] Budgets reference_top_counts(const Scores& scores, std::int64_t total);

/// The budgets of every mode.
[[nodiscard]] Budgets reference_budgets(const Scores& scores, std::int64_t b,
                                        const AllocationOptions& options);

/// The published pyramid: integer step, beta 20.
[[nodiscard]] Budgets reference_official_pyramid(std::int64_t layers, std::int64_t b,
                                                 std::int64_t m);

}  // namespace kvsieve::kernels::tests
