#pragma once
// Sharing a layer's budget out among its heads (Ada-KV algorithm 1, theorem 3.3) with the published
// and the repaired safeguards.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/decimal.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// How alpha, the uniform share of the budget, enters. f_i is head i's part of the layer's global
/// top, b the budget a head outside its protected tokens.
enum class AlphaMode {
  kBlend,             ///< (1-alpha) f_i + alpha b, largest remainders, exact total
  kFloor,             ///< each head first gets floor(alpha b), the rest goes by global rank
  kFloorKvpress,      ///< as floor, counting window keys: max(0, floor(alpha budget) - w)
  kPaperLiteral,      ///< blend with alpha and 1 - alpha swapped, as the paper's text reads
  kOfficialRounding,  ///< round-half-even(f_i (1-alpha) + floor(alpha b)); the total drifts
};

/// Parameters of an allocation.
struct AllocationOptions {
  Decimal alpha{2, 10};
  AlphaMode mode = AlphaMode::kBlend;
  std::int64_t protected_tokens = 0;  ///< kept in every head besides b; only kFloorKvpress asks
};

/// Budgets a head outside the protected tokens.
/// With b >= m every head gets m. Otherwise 0 <= budget <= m, and the total is exactly h * b in
/// every mode but kOfficialRounding.
/// Which: head i's budget counts its scores among the h * b largest of the layer. Ties: score
/// descending, then head ascending, then token ascending. -0 equals +0.
/// @param scores [h, m] finite, higher is more important
/// @param b tokens a head, b >= 0
/// @return budgets [h]
/// Throws Error(kBadInput) naming head and token of a score that is not finite, Error(kUsage) if
/// alpha > 1.
[[nodiscard]] std::vector<std::int64_t> allocate_budgets(MatrixView<const float> scores,
                                                         std::int64_t b,
                                                         const AllocationOptions& options);

/// Head i's share f_i of the `total` largest of scores [h, m] (Ada-KV algorithm 1): the bound's
/// minimiser, without safeguard. Ties and errors as allocate_budgets.
[[nodiscard]] std::vector<std::int64_t> global_top_counts(MatrixView<const float> scores,
                                                          std::int64_t total);

/// weights_i / sum(weights) of `total` in integers by largest remainder, ties to the lower index.
/// The weights are taken as fractions weight / denominator that sum to `total`.
[[nodiscard]] std::vector<std::int64_t> round_largest_remainder(
    std::span<const std::int64_t> numerators, std::int64_t denominator, std::int64_t total);

/// Budgets per layer that fall linearly from bottom to top (PyramidKV, beta 20).
/// `layers` budgets outside the window with mean b; max = 2b - b/beta, clamped to m tokens.
/// Exact: non-increasing, total layers * b by largest remainder. Official: the published integer
/// step, which overspends.
[[nodiscard]] std::vector<std::int64_t> pyramid_budgets(std::int64_t layers, std::int64_t b,
                                                        std::int64_t m, bool official);

/// Work of allocate_budgets: a pass over the scores for each of three digits.
[[nodiscard]] constexpr Work budget_allocation_work(std::int64_t heads, std::int64_t m) {
  return {3 * heads * m * 4, heads * 4, 0};
}

}  // namespace kvsieve::kernels
