#pragma once
// The KV cache of a layer after eviction: every head keeps a number of tokens of its own.
//
// A segment is one KV head of one sequence (segment = sequence * Hkv + KV head). Its rows are
// consecutive in K and V [rows, d] and followed by slack, so that decoded tokens are appended in
// place; or they lie in pages of fixed size that a table lists.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Where the segments of a contiguous ragged cache lie.
struct RaggedLayout {
  std::vector<std::int64_t> offsets;  ///< [S + 1] first row of each segment, then all rows
  std::vector<std::int32_t> lengths;  ///< [S] live rows; the others of a segment are slack

  [[nodiscard]] std::int64_t segments() const { return static_cast<std::int64_t>(lengths.size()); }
  [[nodiscard]] std::int64_t rows() const { return offsets.empty() ? 0 : offsets.back(); }
};

/// A layout of segments that hold budgets[s] rows and have room for `slack` more. Segments start at
/// multiples of `alignment` rows; the rows skipped for that are slack too.
/// Throws Error(kUsage) for a negative budget or slack, more than 2^31 - 1 rows in a segment, or an
/// alignment below 1.
/// @param budgets [S]
[[nodiscard]] RaggedLayout make_ragged_layout(std::span<const std::int64_t> budgets,
                                              std::int64_t slack = 0, std::int64_t alignment = 1);

/// Pointers to a ragged cache, in host memory for the cpu backend and in device memory for the
/// others. Keys are stored after RoPE. Rows start at multiples of 16 bytes.
struct RaggedCacheView {
  void* keys = nullptr;    ///< [rows, d]
  void* values = nullptr;  ///< [rows, d]
  traces::DType dtype = traces::DType::kF16;
  std::int64_t head_dim = 0;
  std::int64_t segments = 0;
  const std::int64_t* offsets = nullptr;  ///< [S + 1], contiguous layout only
  std::int32_t* lengths = nullptr;        ///< [S] live tokens of each segment

  // Paged layout: token j of segment s is row pages[s, j / page_rows] * page_rows + j % page_rows.
  // A segment's pages are in order, and negative from the first that it does not have.
  const std::int32_t* pages = nullptr;  ///< [S, pages_per_segment], null if contiguous
  std::int64_t pages_per_segment = 0;
  std::int64_t page_rows = 0;  ///< a power of two
};

/// Where segment s begins: its first row, or its first entry of the table of pages.
[[nodiscard]] constexpr std::int64_t begin_of(const RaggedCacheView& cache, std::int64_t s) {
  return cache.pages == nullptr ? cache.offsets[s] : s * cache.pages_per_segment;
}

/// The row of token j of the segment that begins at `begin`.
[[nodiscard]] constexpr std::int64_t row_from(const RaggedCacheView& cache, std::int64_t begin,
                                              std::int64_t j) {
  return cache.pages == nullptr
             ? begin + j
             : cache.pages[begin + j / cache.page_rows] * cache.page_rows + j % cache.page_rows;
}

/// The row of token j of segment s.
[[nodiscard]] constexpr std::int64_t row_of(const RaggedCacheView& cache, std::int64_t s,
                                            std::int64_t j) {
  return row_from(cache, begin_of(cache, s), j);
}

/// Whether segment s has room for `rows` rows.
[[nodiscard]] constexpr bool has_room(const RaggedCacheView& cache, std::int64_t s,
                                      std::int64_t rows) {
  if (cache.pages == nullptr) {
    return rows <= cache.offsets[s + 1] - cache.offsets[s];
  }
  const std::int64_t needed = (rows + cache.page_rows - 1) / cache.page_rows;
  return needed == 0 || (needed <= cache.pages_per_segment &&
                         cache.pages[s * cache.pages_per_segment + needed - 1] >= 0);
}

}  // namespace kvsieve::kernels
