#pragma once
// The safeguards of budget allocation as integers, one form for every backend and AlphaMode.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/budget_allocation.h"

namespace kvsieve::kernels {

/// Head i first gets its `floor` largest scores; the others compete for what is left of h * b. Of
/// the share f_i that results, (slope f_i + constant) / scale is its budget before rounding.
struct AllocationRule {
  std::int64_t floor = 0;
  std::int64_t slope = 1;
  std::int64_t constant = 0;
  std::int64_t scale = 1;
  bool half_even = false;  ///< rounds each head on its own; otherwise by largest remainder
};

/// The rule for b < m tokens a head. Throws Error(kUsage) if alpha > 1.
[[nodiscard]] AllocationRule allocation_rule(std::int64_t b, const AllocationOptions& options);

/// The budgets of heads whose shares f_i, of `total`, are `shares`.
[[nodiscard]] std::vector<std::int64_t> round_budgets(const AllocationRule& rule,
                                                      std::vector<std::int64_t> shares,
                                                      std::int64_t total);

/// Throws the Error(kBadInput) of a score that is not finite.
[[noreturn]] void fail_for_score(std::int64_t head, std::int64_t token, float score);
/// The same for the first of scores [h, m], which has one.
[[noreturn]] void fail_for_first_bad_score(MatrixView<const float> scores);

}  // namespace kvsieve::kernels
