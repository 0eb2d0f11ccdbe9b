#pragma once
// The shapes that tests and benchmarks of attention-shaped operations run over: boundary values of
// every factor, each pair of values at least once, far fewer cases than their product.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels::tests {

inline constexpr std::int64_t kGroups[] = {1, 2, 3, 4, 7, 8};
inline constexpr std::int64_t kHeadDims[] = {2, 48, 64, 80, 96, 128, 256};
inline constexpr std::int64_t kTokenCounts[] = {
    1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097};
inline constexpr std::int64_t kQueryCounts[] = {1, 2, 7, 8, 9, 33};
inline constexpr traces::DType kDTypes[] = {traces::DType::kF16, traces::DType::kBF16,
                                            traces::DType::kF32};

/// One KV head and the queries that read it.
struct AttentionCase {
  std::int64_t group = 1;         ///< G query heads
  std::int64_t head_dim = 64;     ///< d
  std::int64_t tokens = 64;       ///< n, the keys that count
  std::int64_t later_tokens = 0;  ///< keys behind them: T = n + later_tokens
  std::int64_t queries = 1;       ///< R <= n queries a member, at the last positions before n
  traces::DType dtype = traces::DType::kF32;
  traces::RopeSpec rope;
  traces::AttentionSpec attention;

  [[nodiscard]] std::int64_t all_tokens() const { return tokens + later_tokens; }
  /// n - R .. n - 1.
  [[nodiscard]] std::vector<std::int32_t> positions() const;
  /// E.g. "G3 d80 n1023+5 R9 BF16 interleaved/40 sliding 7 softcap".
  [[nodiscard]] std::string name() const;
};

/// At most 150 cases that cover each pair of values of two factors.
[[nodiscard]] const std::vector<AttentionCase>& attention_cases();

/// Rows of level numbers, one a factor, such that each pair of levels of two factors occurs in a
/// row. Greedy and deterministic.
[[nodiscard]] std::vector<std::vector<std::size_t>> pairwise(std::span<const std::size_t> levels);

}  // namespace kvsieve::kernels::tests
