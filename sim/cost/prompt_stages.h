#pragma once
// What a method does to a layer's cache once the prompt's attention is done, each stage of it alone
// on the GPU.

#include <cstdint>

#include "kvsieve/sim/operation_time.h"

namespace kvsieve::sim {

/// The heads of a layer, of all sequences together.
struct PromptHeads {
  double kv_heads = 0.0;
  std::int64_t group = 1;
  std::int64_t head_dim = 0;
  std::int64_t element_bytes = 0;  ///< of the cache
};

/// Attention of the last `queries` queries over `tokens` keys, a mean a token.
[[nodiscard]] double window_scores_us(const OperationTimes& gpu, const PromptHeads& heads,
                                      std::int64_t queries, std::int64_t tokens,
                                      CostTerms* terms = nullptr);

/// Budgets of `units` heads that share a layer's, over `candidates` scores each.
[[nodiscard]] double allocation_us(const OperationTimes& gpu, std::int64_t units,
                                   std::int64_t candidates);

/// The tokens that stay: `chosen` of all candidates of all units. @param two_stage CriticalKV's
[[nodiscard]] double selection_us(const OperationTimes& gpu, std::int64_t units,
                                  std::int64_t candidates, std::int64_t chosen, bool two_stage);

/// Moving the kept rows of all `heads` into the ragged cache.
[[nodiscard]] double compaction_us(const OperationTimes& gpu, const PromptHeads& heads,
                                   double kept_rows, CostTerms* terms = nullptr);

/// Codes of the keys of `tokens` tokens.
[[nodiscard]] double key_encoding_us(const OperationTimes& gpu, const PromptHeads& heads,
                                     double tokens, std::int64_t codewords,
                                     CostTerms* terms = nullptr);

}  // namespace kvsieve::sim
