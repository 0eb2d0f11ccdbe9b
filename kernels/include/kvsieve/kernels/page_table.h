#pragma once
// Handing out the pages of a paged ragged cache.

#include <cstdint>
#include <span>
#include <vector>

namespace kvsieve::kernels {

/// Which pages of a pool belong to which segment, as RaggedCacheView::pages wants it. Segments get
/// pages as they grow and give them back as they shrink; rows never move.
class PageTable {
 public:
  /// Throws Error(kUsage) unless page_rows is a power of two and the other counts are >= 0.
  PageTable(std::int64_t segments, std::int64_t pages_per_segment, std::int64_t page_rows,
            std::int64_t pool_pages);

  /// Gives every segment the pages that it lacks for lengths[s] rows.
  /// Throws Error(kUsage), changing nothing, if a segment would need more than pages_per_segment
  /// or all together more than the pool has.
  /// @param lengths [S]
  void reserve(std::span<const std::int32_t> lengths);
  /// Takes back the pages that lengths[s] rows do not need.
  /// @param lengths [S]
  void release_unused(std::span<const std::int32_t> lengths);

  /// [S, pages_per_segment], -1 where a segment has no page. Valid as long as this object lives.
  [[nodiscard]] std::span<const std::int32_t> pages() const noexcept { return m_pages; }
  [[nodiscard]] std::int64_t pages_per_segment() const noexcept { return m_pages_per_segment; }
  [[nodiscard]] std::int64_t page_rows() const noexcept { return m_page_rows; }
  [[nodiscard]] std::int64_t free_pages() const noexcept {
    return static_cast<std::int64_t>(m_free.size());
  }

 private:
  [[nodiscard]] std::int64_t needed(std::int64_t rows) const;
  [[nodiscard]] std::int32_t& page(std::size_t segment, std::int64_t index);

  std::int64_t m_pages_per_segment;
  std::int64_t m_page_rows;
  std::vector<std::int32_t> m_pages;
  std::vector<std::int64_t> m_held;  ///< [S] pages of each segment
  std::vector<std::int32_t> m_free;  ///< a stack, the lowest page on top at first
};

}  // namespace kvsieve::kernels
