#pragma once
// What an eviction costs: retained mass, the L1 loss through the output projection, and the terms
// of its upper bounds (Ada-KV theorem 3.1).

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels {

/// A dense tensor [a, b, c], c fastest.
struct Tensor3 {
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::int64_t c = 0;
  std::vector<float> data;

  void resize(std::int64_t new_a, std::int64_t new_b, std::int64_t new_c) {
    a = new_a;
    b = new_b;
    c = new_c;
    data.resize(static_cast<std::size_t>(a * b * c));
  }
  [[nodiscard]] MatrixView<float> matrix(std::int64_t i) { return {data.data() + i * b * c, b, c}; }
  [[nodiscard]] MatrixView<const float> matrix(std::int64_t i) const {
    return {data.data() + i * b * c, b, c};
  }
  [[nodiscard]] float& at(std::int64_t i, std::int64_t j, std::int64_t k) {
    return data[static_cast<std::size_t>((i * b + j) * c + k)];
  }
  [[nodiscard]] float at(std::int64_t i, std::int64_t j, std::int64_t k) const {
    return data[static_cast<std::size_t>((i * b + j) * c + k)];
  }
};

/// One KV head under several eviction decisions ("selections") at once: the attention is computed
/// once and shared by all.
struct HeadLossProblem {
  MatrixView<const float> queries;          ///< [G * R, d] rotated; member g's rows consecutive
  std::span<const std::int32_t> positions;  ///< [R] query positions
  const HeadKeys* keys = nullptr;           ///< T keys
  const HeadValues* values = nullptr;       ///< T values
  traces::AttentionSpec attention;
  /// kept[s * G + g]: ascending tokens that member g keeps under selection s. Tokens that a query
  /// does not see weigh nothing, so all decoded tokens may be listed.
  std::span<const std::span<const std::int32_t>> kept;
  std::int64_t selections = 0;  ///< S
  /// [G, T] value norms ||V_j W_g||_1, or rows = 0 to leave theta's terms out.
  MatrixView<const float> norms;
  bool outputs = true;  ///< false leaves `output` and `difference` empty: masses and norms alone
};

/// Per query row of a KV head. All tensors are indexed [.., g, r] with member g and query r.
struct HeadLoss {
  Tensor3 output;         ///< [G, R, d] o = A V
  Tensor3 difference;     ///< [S * G, R, d] o - o^, o^ from the renormalised kept weights
  Tensor3 retained_mass;  ///< [S, G, R] F
  Tensor3 kept_norm;      ///< [S, G, R] K = sum over kept j of A_j norm_j
  Tensor3 total_norm;     ///< [1, G, R] T = sum over j of A_j norm_j
};

/// Computes the loss terms of one KV head. A head that keeps nothing a query sees (F = 0) outputs
/// zero, so its difference is o. Parallel over rows; bits do not depend on the thread count.
void eviction_loss(const HeadLossProblem& problem, HeadLoss& loss);

/// theta of one head and query (CriticalKV theorem 3.3): T - (2 - 1/F) K, written as the evicted
/// norm (T - K) plus (1/F - 1) K so that rounding cannot make it negative; T if F = 0.
[[nodiscard]] inline double loss_bound_theta(double retained_mass, double total_norm,
                                             double kept_norm) {
  if (retained_mass <= 0.0) {
    return total_norm;
  }
  return std::max(0.0, total_norm - kept_norm) +
         std::max(0.0, 1.0 / retained_mass - 1.0) * kept_norm;
}

/// y [R, D] += x [R, d] times W [d, D]: one head's part of the layer output. `y.stride` is at
/// least D rounded up to 16. Parallel over rows.
void project(MatrixView<const float> x, const PackedMatrix& projection, MatrixView<float> y);

/// Work of eviction_loss with norms, for one KV head with G members and S selections that keep
/// `kept_tokens` in all, the same for all members, as a bit a token: scores, softmax and the full
/// output once, the kept output and its sums for each selection.
[[nodiscard]] constexpr Work eviction_loss_work(std::int64_t members, std::int64_t rows,
                                                std::int64_t tokens, std::int64_t d,
                                                std::int64_t selections, std::int64_t kept_tokens,
                                                std::int64_t element_bytes) {
  const std::int64_t all_rows = members * rows;
  const std::int64_t kept_bytes = selections * ((tokens + 31) / 32) * 4;
  return {
      2 * tokens * d * element_bytes + (all_rows * d + members * tokens + rows) * 4 + kept_bytes,
      ((1 + selections) * all_rows * d + (1 + 2 * selections) * all_rows) * 4,
      2 * all_rows * d * (2 * tokens + kept_tokens)};
}

}  // namespace kvsieve::kernels
