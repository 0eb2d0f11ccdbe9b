#include "kernels/adakv/cache_fixtures.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>

#include "kernels/attention/case_table.h"

namespace kvsieve::kernels::tests {
namespace {

/// Elements between the rows of DenseOrder::kPadded: a multiple of 16 bytes in every dtype.
constexpr std::int64_t kPadding = 16;

constexpr const char* kKeptNames[] = {"scattered", "window", "all", "first-empty", "one-long"};
constexpr const char* kOrderNames[] = {"segment-major", "token-major", "padded"};

bool keeps(const CompactionCase& item, std::int64_t s, std::int64_t token,
           std::mt19937& generator) {
  const bool window = token >= item.tokens - kWindowTokens;
  switch (item.kept) {
    case Kept::kScattered:
      return window || (s % 2 == 0 && generator() % 3 == 0);
    case Kept::kWindow:
      return window;
    case Kept::kAll:
      return true;
    case Kept::kFirstEmpty:
      return s % 3 != 0 && s != item.segments - 1 && (window || generator() % 2 == 0);
    case Kept::kOneLong:
      return s == item.segments / 2 || token == item.tokens / 2;
  }
  return false;
}

void add_row(Bytes& to, const Bytes& from, std::int64_t row, std::int64_t bytes) {
  const auto first = from.begin() + row * bytes;
  to.insert(to.end(), first, first + bytes);
}

}  // namespace

Bytes random_bytes(std::int64_t count, std::uint32_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<std::uint64_t> words(static_cast<std::size_t>(count) / sizeof(std::uint64_t) + 1);
  std::generate(words.begin(), words.end(), [&] { return generator(); });
  const auto* first = reinterpret_cast<const std::byte*>(words.data());
  return {first, first + count};
}

std::string CompactionCase::name() const {
  return fmt::format("S{} d{} {} n{} {} {} {} t{}", segments, head_dim, traces::name_of(dtype),
                     tokens, kKeptNames[static_cast<int>(kept)],
                     kOrderNames[static_cast<int>(order)],
                     page_rows == 0 ? "contiguous" : fmt::format("pages {}", page_rows), appended);
}

std::vector<CompactionCase> compaction_cases(const std::vector<std::int64_t>& head_dims,
                                             const std::vector<std::int64_t>& token_counts) {
  constexpr std::int64_t kSegments[] = {1, 2, 3, 8, 33};
  constexpr std::int64_t kPageRows[] = {0, 1, 16, 64};
  constexpr std::int64_t kAppended[] = {0, 1, 3, 33, 65};
  const std::size_t levels[] = {token_counts.size(),  head_dims.size(),    std::size(kSegments),
                                std::size(kDTypes),   std::size(kKept),    std::size(kDenseOrders),
                                std::size(kPageRows), std::size(kAppended)};
  std::vector<CompactionCase> cases;
  for (const std::vector<std::size_t>& row : pairwise(levels)) {
    cases.push_back({.segments = kSegments[row[2]],
                     .head_dim = head_dims[row[1]],
                     .dtype = kDTypes[row[3]],
                     .tokens = token_counts[row[0]],
                     .kept = kKept[row[4]],
                     .order = kDenseOrders[row[5]],
                     .page_rows = kPageRows[row[6]],
                     .appended = kAppended[row[7]]});
  }
  return cases;
}

CompactionProblem::CompactionProblem(const CompactionCase& compaction_case, std::uint32_t seed)
    : item(compaction_case) {
  const std::int64_t elements = item.order == DenseOrder::kPadded
                                    ? item.segments * (item.tokens + 1) * (item.head_dim + kPadding)
                                    : item.segments * item.tokens * item.head_dim;
  const auto element_bytes = static_cast<std::int64_t>(traces::size_of(item.dtype));
  keys = random_bytes(elements * element_bytes, seed);
  values = random_bytes(elements * element_bytes, seed + 1);
  new_keys = random_bytes(item.segments * item.appended * item.row_bytes(), seed + 2);
  new_values = random_bytes(item.segments * item.appended * item.row_bytes(), seed + 3);
  std::mt19937 generator(seed);
  kept_offsets.push_back(0);
  for (std::int64_t s = 0; s < item.segments; ++s) {
    for (std::int64_t token = 0; token < item.tokens; ++token) {
      if (keeps(item, s, token, generator)) {
        kept_tokens.push_back(static_cast<std::int32_t>(token));
      }
    }
    kept_offsets.push_back(static_cast<std::int64_t>(kept_tokens.size()));
  }
}

DenseCacheView CompactionProblem::dense() const {
  DenseCacheView view{.keys = keys.data(),
                      .values = values.data(),
                      .dtype = item.dtype,
                      .head_dim = item.head_dim,
                      .segments = item.segments,
                      .tokens = item.tokens};
  switch (item.order) {
    case DenseOrder::kSegmentMajor:
      view.token_stride = item.head_dim;
      view.segment_stride = item.tokens * item.head_dim;
      break;
    case DenseOrder::kTokenMajor:
      view.token_stride = item.segments * item.head_dim;
      view.segment_stride = item.head_dim;
      break;
    case DenseOrder::kPadded:
      view.token_stride = item.head_dim + kPadding;
      view.segment_stride = (item.tokens + 1) * view.token_stride;
      break;
  }
  return view;
}

KeptTokensView CompactionProblem::kept() const {
  return {kept_tokens.data(), kept_offsets.data(), kept_offsets.back()};
}

NewTokens CompactionProblem::new_tokens() const {
  return {new_keys.data(), new_values.data(), item.appended};
}

std::vector<std::int64_t> CompactionProblem::budgets() const {
  std::vector<std::int64_t> result;
  for (std::size_t s = 0; s + 1 < kept_offsets.size(); ++s) {
    result.push_back(kept_offsets[s + 1] - kept_offsets[s]);
  }
  return result;
}

CacheContents CompactionProblem::compacted() const {
  const DenseCacheView view = dense();
  const auto element_bytes = static_cast<std::int64_t>(traces::size_of(item.dtype));
  CacheContents contents;
  for (std::int64_t s = 0; s < item.segments; ++s) {
    Bytes& segment_keys = contents.keys.emplace_back();
    Bytes& segment_values = contents.values.emplace_back();
    for (std::int64_t i = kept_offsets[static_cast<std::size_t>(s)];
         i < kept_offsets[static_cast<std::size_t>(s) + 1]; ++i) {
      const std::int64_t first =
          s * view.segment_stride + kept_tokens[static_cast<std::size_t>(i)] * view.token_stride;
      for (std::int64_t byte = 0; byte < item.row_bytes(); ++byte) {
        const auto at = static_cast<std::size_t>(first * element_bytes + byte);
        segment_keys.push_back(keys[at]);
        segment_values.push_back(values[at]);
      }
    }
  }
  return contents;
}

CacheContents CompactionProblem::appended_to(CacheContents contents) const {
  for (std::int64_t s = 0; s < item.segments; ++s) {
    for (std::int64_t i = 0; i < item.appended; ++i) {
      add_row(contents.keys[static_cast<std::size_t>(s)], new_keys, s * item.appended + i,
              item.row_bytes());
      add_row(contents.values[static_cast<std::size_t>(s)], new_values, s * item.appended + i,
              item.row_bytes());
    }
  }
  return contents;
}

HostCache::HostCache(const CompactionCase& item, const std::vector<std::int64_t>& rooms)
    : lengths(rooms.size(), 0), m_item(item) {
  std::int64_t rows = 0;
  if (item.page_rows == 0) {
    offsets = make_ragged_layout(rooms).offsets;
    rows = offsets.back();
  } else {
    const std::int64_t longest = *std::max_element(rooms.begin(), rooms.end());
    m_pages_per_segment =
        std::max<std::int64_t>(1, (longest + item.page_rows - 1) / item.page_rows);
    const std::int64_t pool = m_pages_per_segment * item.segments + 1;
    PageTable table(item.segments, m_pages_per_segment, item.page_rows, pool);
    for (std::int64_t round = 1; round <= m_pages_per_segment; ++round) {
      std::vector<std::int32_t> reserved;
      for (const std::int64_t room : rooms) {
        reserved.push_back(static_cast<std::int32_t>(std::min(room, round * item.page_rows)));
      }
      table.reserve(reserved);
    }
    pages.assign(table.pages().begin(), table.pages().end());
    rows = pool * item.page_rows;
  }
  keys.assign(static_cast<std::size_t>(rows * item.row_bytes()), kUntouched);
  values = keys;
}

RaggedCacheView HostCache::view() {
  RaggedCacheView view{.keys = keys.data(),
                       .values = values.data(),
                       .dtype = m_item.dtype,
                       .head_dim = m_item.head_dim,
                       .segments = m_item.segments,
                       .lengths = lengths.data()};
  if (m_item.page_rows == 0) {
    view.offsets = offsets.data();
  } else {
    view.pages = pages.data();
    view.pages_per_segment = m_pages_per_segment;
    view.page_rows = m_item.page_rows;
  }
  return view;
}

CacheContents HostCache::contents() const {
  CacheContents contents;
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    Bytes& segment_keys = contents.keys.emplace_back();
    Bytes& segment_values = contents.values.emplace_back();
    for (std::int64_t j = 0; j < lengths[s]; ++j) {
      std::int64_t row = 0;
      if (m_item.page_rows == 0) {
        row = offsets[s] + j;
      } else {
        const auto page = s * static_cast<std::size_t>(m_pages_per_segment) +
                          static_cast<std::size_t>(j / m_item.page_rows);
        row = pages[page] * m_item.page_rows + j % m_item.page_rows;
      }
      add_row(segment_keys, keys, row, m_item.row_bytes());
      add_row(segment_values, values, row, m_item.row_bytes());
    }
  }
  return contents;
}

std::vector<std::int64_t> plus(std::vector<std::int64_t> numbers, std::int64_t more) {
  for (std::int64_t& number : numbers) {
    number += more;
  }
  return numbers;
}

}  // namespace kvsieve::kernels::tests
