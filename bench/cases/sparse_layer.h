#pragma once
// One layer's keys and values in host memory and random selections of its rows, for benchmarks of
// sparse attention.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/row_memory.h"
#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::bench {

/// Eight KV heads of four query heads each, as Llama-3.1-8B has. Steps take turns with lists of
/// their own, so that none finds its rows in the processor's caches.
class SparseLayer {
 public:
  static constexpr std::int64_t kSegments = 8;
  static constexpr std::int64_t kGroup = 4;

  /// @param tokens n of a KV head @param selected rows of each list, ascending and at random
  /// @param least_bytes that all lists together read
  SparseLayer(std::int64_t tokens, std::int64_t selected, std::int64_t head_dim,
              traces::DType dtype, std::int64_t least_bytes);

  /// The step with the next lists in turn.
  [[nodiscard]] kernels::SparseDecodeArgs next();
  [[nodiscard]] kernels::Work work() const;

 private:
  std::int64_t m_tokens;
  std::int64_t m_selected;
  std::int64_t m_head_dim;
  traces::DType m_dtype;
  std::int64_t m_steps;
  std::int64_t m_turn = 0;
  kernels::RowMemory m_rows;                       ///< [S, n, 2, d]
  std::vector<std::vector<std::int32_t>> m_lists;  ///< a step each, [S, selected]
  std::vector<std::int32_t> m_counts;
  std::vector<float> m_queries;
  std::vector<float> m_out;
  std::vector<float> m_log_sums;
};

}  // namespace kvsieve::bench
