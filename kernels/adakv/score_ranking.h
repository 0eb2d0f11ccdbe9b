#pragma once
// The scores of a layer in order, from which every budget and every selection of them is read off:
// what allocate_budgets and select_tokens each take passes over all scores for.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/matrix_view.h"

namespace kvsieve::kernels {

class ScoreRanking {
 public:
  /// Sorts each head's scores [h, m]; refers to them. Parallel over heads.
  explicit ScoreRanking(MatrixView<const float> scores);

  /// allocate_budgets of these scores, bit for bit. Takes O(h log m).
  [[nodiscard]] std::vector<std::int64_t> budgets(std::int64_t b,
                                                  const AllocationOptions& options) const;

  /// Appends what select_tokens appends for head `head`, `first_index` added to each. One pass over
  /// the head's scores. @param count within [0, m]
  void select(std::int64_t head, std::int64_t count, std::int32_t first_index,
              std::vector<std::int32_t>& selected) const;

 private:
  [[nodiscard]] std::span<const std::uint32_t> sorted(std::int64_t head) const;
  [[nodiscard]] std::vector<std::int64_t> count_top(std::int64_t total, std::int64_t floor) const;

  MatrixView<const float> m_scores;
  std::vector<std::uint32_t> m_keys;    ///< [h, m] rank keys
  std::vector<std::uint32_t> m_sorted;  ///< [h, m] each row descending
  bool m_finite = true;
};

}  // namespace kvsieve::kernels
