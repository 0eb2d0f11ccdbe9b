#pragma once
// From the dense cache that prefill leaves to a ragged one that holds the kept tokens only, and
// that ragged cache's life during decoding: appending, removing, growing.
//
// Appending writes the new rows into each segment's slack (or its pages) and leaves every other row
// where it is. The published implementation allocates a new cache for each token and copies all
// rows into it; rewrite_append_work says what that costs.
//
// The structs hold pointers into host memory for the functions declared here and into device memory
// for the kernels (adakv/cache_compaction_device.h). Rows of K and V are copied bit for bit.

#include <cstdint>
#include <span>

#include "kvsieve/kernels/ragged_cache.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// The K and V of a layer in which every segment holds all tokens: [S, n, d] with the strides
/// (n * d, d), or [n, S, d] with (d, S * d). Keys are stored after RoPE.
struct DenseCacheView {
  const void* keys = nullptr;
  const void* values = nullptr;  ///< the same strides
  traces::DType dtype = traces::DType::kF16;
  std::int64_t head_dim = 0;
  std::int64_t segments = 0;
  std::int64_t tokens = 0;          ///< n
  std::int64_t segment_stride = 0;  ///< elements from token j of a segment to that of the next one
  std::int64_t token_stride = 0;    ///< elements from a token to the next one of its segment
};

/// The first element of token j of segment s.
[[nodiscard]] constexpr std::int64_t element_of(const DenseCacheView& cache, std::int64_t s,
                                                std::int64_t j) {
  return s * cache.segment_stride + j * cache.token_stride;
}

/// Which tokens stay: segment s keeps tokens[offsets[s]] up to tokens[offsets[s + 1]], as
/// select_tokens lists them.
struct KeptTokensView {
  const std::int32_t* tokens = nullptr;   ///< [rows]
  const std::int64_t* offsets = nullptr;  ///< [S + 1], from 0, not descending
  std::int64_t rows = 0;                  ///< offsets[S], or a bound of it for the kernels
};

/// As many new tokens for each segment.
struct NewTokens {
  const void* keys = nullptr;    ///< [S, t, d], of the cache's dtype
  const void* values = nullptr;  ///< [S, t, d]
  std::int64_t per_segment = 0;  ///< t
};

/// Fills `cache` with the kept rows in the order in which they are listed and sets its lengths.
/// Parallel over blocks of rows, so that segments of unequal length cost nothing.
/// Throws Error(kUsage), changing nothing, if shapes or dtypes differ or a segment has no room for
/// its tokens; Error(kInternal) for a token outside [0, n), with rows partly written.
void compact_cache(const DenseCacheView& dense, const KeptTokensView& kept,
                   const RaggedCacheView& cache);

/// Appends t tokens to every segment; lengths grow by t. No other row is read or written.
/// Throws Error(kUsage) naming the segment, changing nothing, if one has no room.
void append_tokens(const NewTokens& rows, const RaggedCacheView& cache);

/// Takes the last `count` tokens off every segment: the inverse of appending as many.
/// Throws Error(kUsage) naming the segment, changing nothing, if one has fewer or count < 0.
void remove_last_tokens(std::int64_t count, const RaggedCacheView& cache);

/// Copies the live rows of `from` into `to`, whose memory is another, and sets its lengths. Either
/// may be paged.
/// Throws Error(kUsage), changing nothing, if shapes or dtypes differ or a segment has no room.
void regrow_cache(const RaggedCacheView& from, const RaggedCacheView& to);

/// Slack is at least this share of a segment's mean length (1 / 8), so that regrowing costs less
/// than nine copied rows per appended one however long decoding goes on.
inline constexpr std::int64_t kSlackDivisor = 8;
/// And at least this many rows.
inline constexpr std::int64_t kMinimumSlack = 64;

/// The rows of slack that every segment gets. One number for all, because a decoded token adds a
/// row to each: with a share of each segment's own length the shortest would run out first.
/// @param lengths [S]
[[nodiscard]] std::int64_t slack_for(std::span<const std::int32_t> lengths);

/// Where the segments lie after their slack has run out: the same lengths and slack_for more rows.
/// @param lengths [S]
[[nodiscard]] RaggedLayout regrown_layout(std::span<const std::int32_t> lengths,
                                          std::int64_t alignment = 1);

/// Bytes of one token's K and V.
[[nodiscard]] constexpr std::int64_t token_bytes(std::int64_t d, std::int64_t element_bytes) {
  return 2 * d * element_bytes;
}

/// Work of compact_cache into a contiguous layout: the kept rows in and out, their list, the
/// offsets of list and layout, the lengths.
[[nodiscard]] constexpr Work compact_cache_work(std::int64_t kept_rows, std::int64_t segments,
                                                std::int64_t d, std::int64_t element_bytes) {
  const std::int64_t rows = kept_rows * token_bytes(d, element_bytes);
  return {rows + kept_rows * 4 + (segments + 1) * 16, rows + segments * 4, 0};
}

/// Work of append_tokens with t tokens a segment: the new rows in and out, offsets and lengths.
[[nodiscard]] constexpr Work append_tokens_work(std::int64_t segments, std::int64_t t,
                                                std::int64_t d, std::int64_t element_bytes) {
  const std::int64_t rows = segments * t * token_bytes(d, element_bytes);
  return {rows + (segments + 1) * 8 + segments * 4, rows + segments * 4, 0};
}

/// Work of the published append, which copies the whole cache: a kernel over old and new rows, and
/// three updates of int32 metadata (S lengths, S + 1 offsets, their increments).
/// @param cached_rows live rows of all segments before
[[nodiscard]] constexpr Work rewrite_append_work(std::int64_t cached_rows, std::int64_t segments,
                                                 std::int64_t t, std::int64_t d,
                                                 std::int64_t element_bytes) {
  const std::int64_t rows = (cached_rows + segments * t) * token_bytes(d, element_bytes);
  const std::int64_t metadata = (2 * segments + 1) * 4;
  return {rows + metadata + (segments + 1) * 4, rows + metadata, 0};
}

/// Work of remove_last_tokens: lengths in and out.
[[nodiscard]] constexpr Work remove_last_tokens_work(std::int64_t segments) {
  return {segments * 4, segments * 4, 0};
}

/// Work of regrow_cache between contiguous layouts: the live rows in and out, both offsets,
/// lengths.
[[nodiscard]] constexpr Work regrow_cache_work(std::int64_t live_rows, std::int64_t segments,
                                               std::int64_t d, std::int64_t element_bytes) {
  const std::int64_t rows = live_rows * token_bytes(d, element_bytes);
  return {rows + (segments + 1) * 16 + segments * 4, rows + segments * 4, 0};
}

}  // namespace kvsieve::kernels
