#include "kvsieve/kernels/page_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

PageTable::PageTable(std::int64_t segments, std::int64_t pages_per_segment, std::int64_t page_rows,
                     std::int64_t pool_pages)
    : m_pages_per_segment(pages_per_segment), m_page_rows(page_rows) {
  if (segments < 0 || pages_per_segment < 0 || pool_pages < 0 || page_rows < 1 ||
      !std::has_single_bit(static_cast<std::uint64_t>(page_rows))) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("page table: {} segments of {} pages of {} rows in a pool of {}: counts "
                    "cannot be negative, and the rows of a page are a power of two",
                    segments, pages_per_segment, page_rows, pool_pages));
  }
  m_pages.assign(static_cast<std::size_t>(segments * pages_per_segment), -1);
  m_held.assign(static_cast<std::size_t>(segments), 0);
  m_free.resize(static_cast<std::size_t>(pool_pages));
  std::int32_t page = 0;
  std::generate(m_free.rbegin(), m_free.rend(), [&] { return page++; });
}

void PageTable::reserve(std::span<const std::int32_t> lengths) {
  assert(lengths.size() == m_held.size());
  std::int64_t missing = 0;
  for (std::size_t s = 0; s < m_held.size(); ++s) {
    if (needed(lengths[s]) > m_pages_per_segment) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("page table: segment {} needs {} pages for {} rows, it can have {}",
                              s, needed(lengths[s]), lengths[s], m_pages_per_segment));
    }
    missing += std::max<std::int64_t>(needed(lengths[s]) - m_held[s], 0);
  }
  if (missing > free_pages()) {
    throw Error(ErrorKind::kUsage, fmt::format("page table: {} more pages are needed, {} are free",
                                               missing, free_pages()));
  }
  for (std::size_t s = 0; s < m_held.size(); ++s) {
    for (; m_held[s] < needed(lengths[s]); ++m_held[s]) {
      page(s, m_held[s]) = m_free.back();
      m_free.pop_back();
    }
  }
}

void PageTable::release_unused(std::span<const std::int32_t> lengths) {
  assert(lengths.size() == m_held.size());
  for (std::size_t s = 0; s < m_held.size(); ++s) {
    while (m_held[s] > needed(lengths[s])) {
      std::int32_t& last = page(s, --m_held[s]);
      m_free.push_back(last);
      last = -1;
    }
  }
}

std::int64_t PageTable::needed(std::int64_t rows) const {
  return (rows + m_page_rows - 1) / m_page_rows;
}

std::int32_t& PageTable::page(std::size_t segment, std::int64_t index) {
  return m_pages[segment * static_cast<std::size_t>(m_pages_per_segment) +
                 static_cast<std::size_t>(index)];
}

}  // namespace kvsieve::kernels
