#pragma once
// Token selection by sorting.

#include <cstdint>
#include <span>
#include <vector>

namespace kvsieve::kernels::tests {

/// The `count` largest scores' indices, ascending; ties to the lower index.
[[nodiscard]] std::vector<std::int32_t> reference_top_tokens(std::span<const float> scores,
                                                             std::int64_t count);

/// CriticalKV: count / 2 by score, the others of `count` by score * norm.
[[nodiscard]] std::vector<std::int32_t> reference_critical_tokens(std::span<const float> scores,
                                                                  std::span<const float> norms,
                                                                  std::int64_t count);

}  // namespace kvsieve::kernels::tests
