#pragma once
// When a decode step builds its code buckets anew.

#include <cstdint>

#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::kernels {

/// Tokens behind the buckets that are read one by one before the buckets are built anew: building
/// takes a pass over all codes, each of these a few bytes a step.
inline constexpr std::int64_t kMaxBucketTail = 1024;

/// Whether the buckets have to be built before the step selects among `range`.
[[nodiscard]] constexpr bool buckets_are_stale(const TokenRange& bucketed, const TokenRange& range,
                                               std::int64_t step) noexcept {
  return step == 0 || bucketed.begin != range.begin || range.end - bucketed.end > kMaxBucketTail;
}

}  // namespace kvsieve::kernels
