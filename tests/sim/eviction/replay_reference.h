#pragma once
// The eviction replay from its definitions: scalar loops in double precision, attention after an
// eviction as a new softmax with -inf at the evicted cells, selections by sorting.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim::tests {

/// A row-major matrix of doubles.
struct Matrix {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<double> data;

  Matrix() = default;
  Matrix(std::int64_t row_count, std::int64_t col_count)
      : rows(row_count), cols(col_count), data(static_cast<std::size_t>(rows * cols)) {}

  [[nodiscard]] double& at(std::int64_t r, std::int64_t c) {
    return data.at(static_cast<std::size_t>(r * cols + c));
  }
  [[nodiscard]] double at(std::int64_t r, std::int64_t c) const {
    return data.at(static_cast<std::size_t>(r * cols + c));
  }
};

/// Kept prompt tokens a unit, ascending.
using KeptLists = std::vector<std::vector<std::int32_t>>;

/// What a selection loses on a stretch of queries.
struct ReferenceLoss {
  std::vector<QueryLoss> queries;
  std::vector<double> unit_mass;  ///< mean over queries and the unit's query heads
  std::vector<double> unit_loss;  ///< mean over queries
};

/// Who keeps what, and how far it is from another outcome.
struct ReferenceSelection {
  KeptLists kept;
  /// Smallest relative gap between a chosen score and the best one left out, other than exact ties.
  /// Below rounding errors of fp32 another selection would be right as well.
  double margin = std::numeric_limits<double>::infinity();
};

/// One captured layer in double precision, keys and queries rotated.
class ReferenceLayer {
 public:
  ReferenceLayer(const traces::Trace& trace, std::size_t index);

  /// Attention output of a query head for every captured query, [M, d].
  [[nodiscard]] Matrix output(std::int64_t head) const;

  /// Scores of every unit over the prompt tokens outside the window, [units, n - w].
  [[nodiscard]] Matrix scores(const EvictionMethod& method) const;

  /// The method's selection at `budget` tokens a head; `twin` is the uniform one beside it.
  [[nodiscard]] ReferenceSelection select(const EvictionMethod& method, std::int64_t budget,
                                          bool twin) const;

  /// Losses on the captured queries [first, first + count).
  [[nodiscard]] ReferenceLoss loss(Granularity granularity, const KeptLists& kept,
                                   std::int64_t first, std::int64_t count) const;

 private:
  [[nodiscard]] std::int64_t units(Granularity granularity) const;
  [[nodiscard]] std::int64_t unit_of(Granularity granularity, std::int64_t head) const;
  [[nodiscard]] std::vector<double> weights(std::int64_t head, std::int64_t query,
                                            const std::vector<bool>& present) const;
  [[nodiscard]] std::vector<double> column_means(std::int64_t head, std::int64_t first,
                                                 std::int64_t count) const;
  [[nodiscard]] double value_norm(std::int64_t head, std::int64_t token) const;
  [[nodiscard]] std::int64_t layer_budget(LayerRule rule, std::int64_t b, std::int64_t m) const;

  traces::TraceHeader m_header;
  std::int64_t m_layer;
  traces::LayerSpec m_spec;
  std::int64_t m_prompt_queries;
  std::vector<std::int32_t> m_positions;
  std::vector<Matrix> m_raw_keys;     // [Hkv] of [T, d]
  std::vector<Matrix> m_keys;         // [Hkv] of [T, d], rotated
  std::vector<Matrix> m_values;       // [Hkv] of [T, d]
  std::vector<Matrix> m_queries;      // [Hq] of [M, d], rotated
  std::vector<Matrix> m_projections;  // [Hq] of [d, D]
  Matrix m_norms;                     // [Hq, T]
};

/// Budgets outside the protected tokens; `margin` shrinks to the smallest gap at a threshold.
[[nodiscard]] std::vector<std::int64_t> reference_budgets(const Matrix& scores, std::int64_t b,
                                                          const EvictionMethod& method,
                                                          std::int64_t protected_tokens,
                                                          double& margin);

/// PyramidKV's budgets outside the window for `layers` layers with mean b and m candidates.
[[nodiscard]] std::vector<std::int64_t> reference_pyramid(std::int64_t layers, std::int64_t b,
                                                          std::int64_t m, bool official);

/// Means over queries, as the replay reports them.
[[nodiscard]] LossFigures reference_figures(std::span<const QueryLoss> queries);

}  // namespace kvsieve::sim::tests
