#include "cases/sparse_layer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>

#include "cases/random_numbers.h"

namespace kvsieve::bench {
namespace {

constexpr std::size_t kPatternNumbers = 1 << 16;

}  // namespace

SparseLayer::SparseLayer(std::int64_t tokens, std::int64_t selected, std::int64_t head_dim,
                         traces::DType dtype, std::int64_t least_bytes)
    : m_tokens(tokens),
      m_selected(selected),
      m_head_dim(head_dim),
      m_dtype(dtype),
      m_counts(kSegments, static_cast<std::int32_t>(selected)),
      m_queries(random_numbers(static_cast<std::size_t>(kSegments * kGroup * head_dim), 1)),
      m_out(m_queries.size()),
      m_log_sums(kSegments * kGroup) {
  const std::int64_t bytes =
      kernels::row_bytes(head_dim, static_cast<std::int64_t>(traces::size_of(dtype)));
  m_steps = least_bytes / (kSegments * selected * bytes) + 1;
  m_rows = kernels::RowMemory(static_cast<std::size_t>(kSegments * tokens * bytes));
  const std::vector<float> numbers = random_numbers(kPatternNumbers, 2);
  std::vector<std::byte> pattern(numbers.size() * traces::size_of(dtype));
  traces::from_float(dtype, numbers, pattern.data());
  for (std::size_t at = 0; at < m_rows.size(); at += pattern.size()) {
    std::memcpy(m_rows.data() + at, pattern.data(), std::min(pattern.size(), m_rows.size() - at));
  }
  std::mt19937 generator(3);
  std::vector<std::int32_t> all(static_cast<std::size_t>(tokens));
  std::iota(all.begin(), all.end(), 0);
  for (std::int64_t step = 0; step < m_steps; ++step) {
    std::vector<std::int32_t>& lists = m_lists.emplace_back();
    for (std::int64_t s = 0; s < kSegments; ++s) {
      std::sample(all.begin(), all.end(), std::back_inserter(lists), selected, generator);
    }
  }
}

kernels::SparseDecodeArgs SparseLayer::next() {
  m_turn = (m_turn + 1) % m_steps;
  kernels::SparseDecodeArgs args;
  args.cache = {m_rows.data(), m_dtype, m_head_dim, m_tokens};
  args.segments = kSegments;
  args.queries = m_queries.data();
  args.group = kGroup;
  args.rows = m_lists[static_cast<std::size_t>(m_turn)].data();
  args.capacity = m_selected;
  args.counts = m_counts.data();
  args.scale = 1.0F / std::sqrt(static_cast<float>(m_head_dim));
  args.out = m_out.data();
  args.log_sums = m_log_sums.data();
  return args;
}

kernels::Work SparseLayer::work() const {
  return kernels::sparse_decode_work(kSegments * m_selected, kSegments, kGroup, m_head_dim,
                                     static_cast<std::int64_t>(traces::size_of(m_dtype)));
}

}  // namespace kvsieve::bench
