#pragma once
// Adaptive retrieval budgets: the K of all query heads of a layer shared out among them, step by
// step, by the attention that the scorer expects (Ada-KV algorithm 1 on approximate scores).

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/decimal.h"
#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::sim {

/// Approximate attention of a layer's decode queries on their eligible tokens: Hq m T numbers.
class AdaptiveTops {
 public:
  /// @param eligible [m] of each step
  AdaptiveTops(std::span<const kernels::TokenRange> eligible, std::int64_t q_heads);

  /// Sets one query head at one step; different ones at the same time are fine.
  /// @param scores the scorer's by token, valid at eligible tokens @param exact [i + 1] true scores
  void set(std::int64_t step, std::int64_t q_head, std::span<const float> scores,
           std::span<const float> exact);

  /// K of each step and query head [m, Hq]. Step s shares out Hq uniform[s] exactly: head h gets
  /// (1 - alpha) times the number of its tokens among the layer's best, plus alpha uniform[s], in
  /// integers by largest remainder, and never more than its eligible tokens.
  /// @param uniform [m]
  [[nodiscard]] std::vector<std::int64_t> tops(std::span<const std::int64_t> uniform,
                                               const kernels::Decimal& alpha) const;

 private:
  struct Step {
    kernels::TokenRange eligible;
    std::vector<float> attention;  // [Hq, eligible]
  };

  std::int64_t m_q_heads;
  std::vector<Step> m_steps;
};

}  // namespace kvsieve::sim
