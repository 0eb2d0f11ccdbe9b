#include "kvsieve/kernels/budget_allocation.h"

#include <algorithm>
#include <numeric>

#include "adakv/allocation_rule.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/radix_select.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

// Above the key of every finite score: a pinned token outranks them all.
constexpr std::uint32_t kPinned = 0xffffffffU;

constexpr std::int64_t kKeysPerTask = 32768;  // enough to outweigh starting a task

/// Replaces `keys` [h * m] by the scores' ranks. Throws as allocate_budgets does.
void rank_scores(MatrixView<const float> scores, std::span<std::uint32_t> keys) {
  const std::int64_t blocks = (scores.cols + kKeysPerTask - 1) / kKeysPerTask;
  std::vector<char> finite(static_cast<std::size_t>(scores.rows * blocks), 1);
  parallel_blocks(scores.rows * blocks, 1, [&](std::int64_t task, std::int64_t) {
    const std::int64_t head = task / blocks;
    const std::int64_t first = task % blocks * kKeysPerTask;
    const std::int64_t count = std::min(kKeysPerTask, scores.cols - first);
    const bool all = simd().rank_keys(scores.row(head).data() + first,
                                      keys.data() + head * scores.cols + first, count);
    finite[static_cast<std::size_t>(task)] = all ? 1 : 0;
  });
  if (std::count(finite.begin(), finite.end(), 0) > 0) {
    fail_for_first_bad_score(scores);
  }
}

/// How many of each head's m keys are among the `total` largest; ties go to lower heads first.
std::vector<std::int64_t> count_top(std::span<const std::uint32_t> keys, std::int64_t heads,
                                    std::int64_t total) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(heads), 0);
  if (total == 0) {
    return counts;
  }
  const RankThreshold threshold = select_threshold(keys, total);
  const auto m = static_cast<std::int64_t>(keys.size()) / heads;
  std::vector<std::int64_t> equal(counts.size());
  parallel_blocks(heads, std::max<std::int64_t>(1, kKeysPerTask / m),
                  [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t head = first; head < last; ++head) {
                      const auto slot = static_cast<std::size_t>(head);
                      counts[slot] = simd().count_above(keys.data() + head * m, m, threshold.key,
                                                        &equal[slot]);
                    }
                  });
  std::int64_t ties = threshold.ties;
  for (std::size_t head = 0; head < counts.size(); ++head) {
    const std::int64_t taken = std::min(equal[head], ties);
    counts[head] += taken;
    ties -= taken;
  }
  return counts;
}

/// Marks each head's `count` largest keys as pinned; ties go to the lower token.
void pin_top(std::span<std::uint32_t> keys, std::int64_t heads, std::int64_t count) {
  if (count == 0) {
    return;
  }
  const std::size_t m = keys.size() / static_cast<std::size_t>(heads);
  parallel_blocks(heads, 1, [&](std::int64_t head, std::int64_t) {
    const std::span<std::uint32_t> row = keys.subspan(static_cast<std::size_t>(head) * m, m);
    const RankThreshold threshold = select_threshold(row, count);
    simd().pin_above(row.data(), static_cast<std::int64_t>(m), threshold.key);
    auto tie = row.begin();
    for (std::int64_t i = 0; i < threshold.ties; ++i) {
      tie = std::find(tie, row.end(), threshold.key);
      *tie = kPinned;
    }
  });
}

}  // namespace

std::vector<std::int64_t> global_top_counts(MatrixView<const float> scores, std::int64_t total) {
  const auto size = static_cast<std::size_t>(scores.rows * scores.cols);
  Scratch<std::uint32_t> scratch(size);
  const std::span<std::uint32_t> keys(scratch.data(), size);
  rank_scores(scores, keys);
  return count_top(keys, scores.rows, std::min(total, scores.rows * scores.cols));
}

std::vector<std::int64_t> round_largest_remainder(std::span<const std::int64_t> numerators,
                                                  std::int64_t denominator, std::int64_t total) {
  std::vector<std::int64_t> rounded;
  std::vector<std::size_t> order(numerators.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (const std::int64_t numerator : numerators) {
    rounded.push_back(numerator / denominator);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return numerators[a] % denominator > numerators[b] % denominator;
  });
  const std::int64_t left =
      total - std::accumulate(rounded.begin(), rounded.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < left; ++i) {
    ++rounded[order[static_cast<std::size_t>(i)]];
  }
  return rounded;
}

std::vector<std::int64_t> allocate_budgets(MatrixView<const float> scores, std::int64_t b,
                                           const AllocationOptions& options) {
  const AllocationRule rule = allocation_rule(std::min(b, scores.cols), options);
  const std::int64_t heads = scores.rows;
  const auto size = static_cast<std::size_t>(heads * scores.cols);
  Scratch<std::uint32_t> scratch(size);
  const std::span<std::uint32_t> keys(scratch.data(), size);
  rank_scores(scores, keys);
  if (b >= scores.cols) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(heads), scores.cols);
  }
  pin_top(keys, heads, rule.floor);
  return round_budgets(rule, count_top(keys, heads, heads * b), heads * b);
}

std::vector<std::int64_t> pyramid_budgets(std::int64_t layers, std::int64_t b, std::int64_t m,
                                          bool official) {
  constexpr std::int64_t kBeta = 20;
  b = std::min(b, m);
  std::int64_t low = b / kBeta;
  std::int64_t high = 2 * b - low;
  if (high >= m) {
    high = m;
    low = 2 * b - high;
  }
  const std::int64_t steps = layers - 1;
  if (steps == 0) {
    return {b};
  }
  std::vector<std::int64_t> budgets;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    budgets.push_back(official ? high - layer * ((high - low) / steps)
                               : high * steps - layer * (high - low));
  }
  return official ? budgets : round_largest_remainder(budgets, steps, layers * b);
}

}  // namespace kvsieve::kernels
