#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exec/cpu/radix_select.h"
#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

// Above the key of every finite score: a pinned token outranks them all.
constexpr std::uint32_t kPinned = 0xffffffffU;

std::vector<std::uint32_t> rank_keys(MatrixView<const float> scores) {
  std::vector<std::uint32_t> keys;
  keys.reserve(static_cast<std::size_t>(scores.rows * scores.cols));
  for (std::int64_t head = 0; head < scores.rows; ++head) {
    for (const float score : scores.row(head)) {
      if (!std::isfinite(score)) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("the score of head {}, token {} is {}, expected a finite number",
                                head, static_cast<std::int64_t>(keys.size()) % scores.cols, score));
      }
      keys.push_back(rank_key(score));
    }
  }
  return keys;
}

/// How many of each head's m keys are among the `total` largest; ties go to lower heads first.
std::vector<std::int64_t> count_top(std::span<const std::uint32_t> keys, std::int64_t heads,
                                    std::int64_t total) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(heads), 0);
  if (total == 0) {
    return counts;
  }
  const RankThreshold threshold = select_threshold(keys, total);
  const std::size_t m = keys.size() / static_cast<std::size_t>(heads);
  std::int64_t ties = threshold.ties;
  for (std::size_t head = 0; head < counts.size(); ++head) {
    std::int64_t equal = 0;
    for (const std::uint32_t key : keys.subspan(head * m, m)) {
      counts[head] += key > threshold.key ? 1 : 0;
      equal += key == threshold.key ? 1 : 0;
    }
    const std::int64_t taken = std::min(equal, ties);
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
  for (std::size_t head = 0; head < static_cast<std::size_t>(heads); ++head) {
    const std::span<std::uint32_t> row = keys.subspan(head * m, m);
    RankThreshold threshold = select_threshold(row, count);
    for (std::uint32_t& key : row) {
      if (key > threshold.key || (key == threshold.key && threshold.ties-- > 0)) {
        key = kPinned;
      }
    }
  }
}

/// round-half-even(f (1-alpha) + floor(alpha b)) in integers.
std::int64_t official_budget(std::int64_t f, std::int64_t b, const Decimal& alpha) {
  const std::int64_t numerator =
      f * (alpha.scale - alpha.units) + alpha.floor_times(b) * alpha.scale;
  const std::int64_t down = numerator / alpha.scale;
  const std::int64_t twice_rest = 2 * (numerator % alpha.scale);
  const bool up = twice_rest > alpha.scale || (twice_rest == alpha.scale && down % 2 != 0);
  return down + (up ? 1 : 0);
}

}  // namespace

std::vector<std::int64_t> global_top_counts(MatrixView<const float> scores, std::int64_t total) {
  return count_top(rank_keys(scores), scores.rows, std::min(total, scores.rows * scores.cols));
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
  const Decimal& alpha = options.alpha;
  if (alpha.units > alpha.scale) {
    throw Error(ErrorKind::kUsage, fmt::format("alpha is {}, expected 0 to 1", alpha.text()));
  }
  const std::int64_t heads = scores.rows;
  std::vector<std::uint32_t> keys = rank_keys(scores);
  if (b >= scores.cols) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(heads), scores.cols);
  }
  const std::int64_t total = heads * b;

  if (options.mode == AlphaMode::kFloor || options.mode == AlphaMode::kFloorKvpress) {
    std::int64_t floor = alpha.floor_times(b);
    if (options.mode == AlphaMode::kFloorKvpress) {
      const std::int64_t budget = b + options.protected_tokens;
      const std::int64_t safe =
          std::max(alpha.floor_times(budget), alpha.units > 0 ? std::int64_t{1} : std::int64_t{0});
      floor = std::clamp(safe - options.protected_tokens, std::int64_t{0}, b);
    }
    pin_top(keys, heads, floor);
    return count_top(keys, heads, total);
  }

  std::vector<std::int64_t> counts = count_top(keys, heads, total);
  if (options.mode == AlphaMode::kOfficialRounding) {
    for (std::int64_t& count : counts) {
      count = official_budget(count, b, alpha);
    }
    return counts;
  }
  const std::int64_t uniform =
      options.mode == AlphaMode::kBlend ? alpha.units : alpha.scale - alpha.units;
  for (std::int64_t& count : counts) {
    count = (alpha.scale - uniform) * count + uniform * b;
  }
  return round_largest_remainder(counts, alpha.scale, total);
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
