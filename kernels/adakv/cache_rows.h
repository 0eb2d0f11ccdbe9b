#pragma once
// Finding the segment that a row belongs to; for the host and, being constexpr, for kernels.

#include <cstdint>

#include "kvsieve/kernels/ragged_cache.h"

namespace kvsieve::kernels {

/// The segment s with offsets[s] <= row < offsets[s + 1]; empty ones are passed over.
/// @param offsets [S + 1] not descending, offsets[0] <= row < offsets[S]
[[nodiscard]] constexpr std::int64_t segment_of(const std::int64_t* offsets, std::int64_t segments,
                                                std::int64_t row) {
  std::int64_t first = 0;
  std::int64_t last = segments;
  while (last - first > 1) {
    const std::int64_t middle = (first + last) / 2;
    if (offsets[middle] <= row) {
      first = middle;
    } else {
      last = middle;
    }
  }
  return first;
}

/// Token j of segment s.
struct TokenPlace {
  std::int64_t s = 0;
  std::int64_t j = 0;
};

/// Rows that lie between the first one of segment s and the first one of the next segment; those of
/// pages that the segment does not have count.
[[nodiscard]] constexpr std::int64_t places_of(const RaggedCacheView& cache, std::int64_t s) {
  return cache.pages == nullptr ? cache.offsets[s + 1] - cache.offsets[s]
                                : cache.pages_per_segment * cache.page_rows;
}

/// The n-th place for a token, live or slack, counted segment by segment.
[[nodiscard]] constexpr TokenPlace place_of(const RaggedCacheView& cache, std::int64_t n) {
  if (cache.pages == nullptr) {
    const std::int64_t s = segment_of(cache.offsets, cache.segments, n);
    return {s, n - cache.offsets[s]};
  }
  const std::int64_t room = places_of(cache, 0);
  return {n / room, n % room};
}

}  // namespace kvsieve::kernels
