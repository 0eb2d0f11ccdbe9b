#pragma once
// One layer of Llama-3.1-8B as Ada-KV's compress pipeline meets it after prefill: random keys and
// values of which some draw attention, so that scores are as uneven as real ones are.

#include <cstddef>
#include <cstdint>
#include <vector>

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

  [[nodiscard]] const std::vector<std::int64_t>& budgets() const { return m_budgets; }
  [[nodiscard]] kernels::Work window_scores_work() const;

 private:
  [[nodiscard]] kernels::MatrixView<float> scores();

  std::int64_t m_tokens;
  traces::DType m_dtype;
  std::vector<std::byte> m_queries;  ///< [Hq, w, d]
  std::vector<std::byte> m_keys;     ///< [Hkv, n, d]
  kernels::WindowScoresProblem m_problem;
  std::vector<float> m_scores;  ///< [Hkv, n - w]
  std::vector<std::int64_t> m_budgets;
  std::vector<std::int32_t> m_kept;
};

}  // namespace kvsieve::bench
