#pragma once
// One layer of Llama-3.1-8B as Ada-KV's compress pipeline meets it after prefill: random keys and
// values of which some draw attention, so that scores are as uneven as real ones are.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::bench {

inline constexpr std::int64_t kQueryHeads = 32;
inline constexpr std::int64_t kKvHeads = 8;
inline constexpr std::int64_t kHeadDim = 128;
inline constexpr std::int64_t kWindow = 32;

/// The pipeline's stages, each on the results of those before it. Memory is reused from one run to
/// the next.
class AdaKvLayer {
 public:
  AdaKvLayer(std::int64_t tokens, traces::DType dtype);

  void score();
  void allocate();
  void select();
  void compact();
  /// All of the above.
  void compress();

  [[nodiscard]] kernels::Work score_work() const;
  [[nodiscard]] kernels::Work allocate_work() const;
  [[nodiscard]] kernels::Work select_work() const;
  [[nodiscard]] kernels::Work compact_work() const;

 private:
  [[nodiscard]] kernels::MatrixView<float> scores();
  [[nodiscard]] std::int64_t element_bytes() const;

  std::int64_t m_tokens;
  traces::DType m_dtype;
  std::vector<std::byte> m_queries;  ///< [Hq, w, d]
  std::vector<std::byte> m_keys;     ///< [Hkv, n, d]
  std::vector<std::byte> m_values;   ///< [Hkv, n, d]
  kernels::WindowScoresProblem m_problem;
  std::vector<float> m_scores;  ///< [Hkv, n - w]
  std::vector<std::int64_t> m_budgets;
  kernels::LayerSelection m_kept;
  std::vector<std::byte> m_kept_keys;    ///< [kept rows, d]
  std::vector<std::byte> m_kept_values;  ///< [kept rows, d]
  std::vector<std::int32_t> m_lengths;
};

}  // namespace kvsieve::bench
