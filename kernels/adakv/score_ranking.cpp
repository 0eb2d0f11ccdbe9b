#include "adakv/score_ranking.h"

#include <algorithm>
#include <functional>

#include "adakv/allocation_rule.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

constexpr int kKeyBits = 32;

/// How many of `sorted`, descending, are `key` or more.
std::int64_t count_at_least(std::span<const std::uint32_t> sorted, std::uint32_t key) {
  return std::upper_bound(sorted.begin(), sorted.end(), key, std::greater<>()) - sorted.begin();
}

/// How many are above it.
std::int64_t count_above(std::span<const std::uint32_t> sorted, std::uint32_t key) {
  return std::lower_bound(sorted.begin(), sorted.end(), key, std::greater<>()) - sorted.begin();
}

}  // namespace

ScoreRanking::ScoreRanking(MatrixView<const float> scores)
    : m_scores(scores), m_keys(static_cast<std::size_t>(scores.rows * scores.cols)) {
  std::vector<char> finite(static_cast<std::size_t>(scores.rows), 1);
  m_sorted.resize(m_keys.size());
  parallel_blocks(scores.rows, 1, [&](std::int64_t head, std::int64_t) {
    std::uint32_t* keys = m_keys.data() + head * scores.cols;
    const bool all = simd().rank_keys(scores.row(head).data(), keys, scores.cols);
    finite[static_cast<std::size_t>(head)] = all ? 1 : 0;
    std::uint32_t* sorted = m_sorted.data() + head * scores.cols;
    std::copy_n(keys, scores.cols, sorted);
    std::sort(sorted, sorted + scores.cols, std::greater<>());
  });
  m_finite = std::count(finite.begin(), finite.end(), 0) == 0;
}

std::span<const std::uint32_t> ScoreRanking::sorted(std::int64_t head) const {
  return std::span(m_sorted).subspan(static_cast<std::size_t>(head * m_scores.cols),
                                     static_cast<std::size_t>(m_scores.cols));
}

/// How many of each head's scores are among the `total` largest if its `floor` largest come first;
/// ties go to lower heads first.
std::vector<std::int64_t> ScoreRanking::count_top(std::int64_t total, std::int64_t floor) const {
  const std::int64_t heads = m_scores.rows;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(heads), floor);
  const std::int64_t rest = total - heads * floor;
  if (rest == 0) {
    return counts;
  }
  // The rest-th largest key behind the floors, bit by bit.
  std::uint32_t threshold = 0;
  for (int bit = kKeyBits - 1; bit >= 0; --bit) {
    const std::uint32_t candidate = threshold | 1U << static_cast<unsigned>(bit);
    std::int64_t found = 0;
    for (std::int64_t head = 0; head < heads; ++head) {
      found += std::max<std::int64_t>(0, count_at_least(sorted(head), candidate) - floor);
    }
    threshold = found >= rest ? candidate : threshold;
  }
  std::int64_t ties = rest;
  for (std::int64_t head = 0; head < heads; ++head) {
    std::int64_t& count = counts[static_cast<std::size_t>(head)];
    count = std::max(floor, count_above(sorted(head), threshold));
    ties -= count - floor;
  }
  for (std::int64_t head = 0; head < heads; ++head) {
    std::int64_t& count = counts[static_cast<std::size_t>(head)];
    const std::int64_t equal = std::max(floor, count_at_least(sorted(head), threshold)) - count;
    const std::int64_t taken = std::min(equal, ties);
    count += taken;
    ties -= taken;
  }
  return counts;
}

std::vector<std::int64_t> ScoreRanking::budgets(std::int64_t b,
                                                const AllocationOptions& options) const {
  const std::int64_t m = m_scores.cols;
  const AllocationRule rule = allocation_rule(std::min(b, m), options);
  if (!m_finite) {
    fail_for_first_bad_score(m_scores);
  }
  if (b >= m) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(m_scores.rows), m);
  }
  return round_budgets(rule, count_top(m_scores.rows * b, rule.floor), m_scores.rows * b);
}

void ScoreRanking::select(std::int64_t head, std::int64_t count, std::int32_t first_index,
                          std::vector<std::int32_t>& selected) const {
  if (count == 0) {
    return;
  }
  const std::uint32_t key = sorted(head)[static_cast<std::size_t>(count - 1)];
  const std::int64_t ties = count - count_above(sorted(head), key);
  const std::size_t before = selected.size();
  const std::size_t after = before + static_cast<std::size_t>(count);
  selected.resize(after + static_cast<std::size_t>(kPanelWidth));
  simd().indices_above(m_keys.data() + head * m_scores.cols, m_scores.cols, key, ties, first_index,
                       selected.data() + before);
  selected.resize(after);
}

}  // namespace kvsieve::kernels
