#include "step_detection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/rank_test.h"

namespace kvsieve::sim {
namespace {

constexpr int kShuffles = 999;

std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<double> ranks;
  for (const double value : values) {
    double below = 0.0;
    double equal = 0.0;
    for (const double other : values) {
      below += other < value ? 1.0 : 0.0;
      equal += other == value ? 1.0 : 0.0;
    }
    ranks.push_back(below + (equal + 1.0) / 2.0);
  }
  return ranks;
}

struct Split {
  std::size_t place = 0;  ///< values before it
  double size = 0.0;
};

/// The split whose rank sum is furthest from what it would be without a step.
Split largest_split(std::span<const double> ranks, std::size_t shortest) {
  const double n = static_cast<double>(ranks.size());
  Split largest;
  double sum = 0.0;
  for (std::size_t i = 1; i + shortest <= ranks.size(); ++i) {
    sum += ranks[i - 1];
    if (i < shortest) {
      continue;
    }
    const double before = static_cast<double>(i);
    const double deviation = std::sqrt(before * (n - before) * (n + 1.0) / 12.0);
    const double size = std::abs(sum - before * (n + 1.0) / 2.0) / deviation;
    if (size > largest.size) {
      largest = {i, size};
    }
  }
  return largest;
}

void search(std::span<const double> values, std::size_t begin, std::size_t end, double alpha,
            std::size_t shortest, kernels::CounterRandom& random,
            std::vector<std::pair<std::size_t, double>>& found) {
  if (end - begin < 2 * shortest) {
    return;
  }
  std::vector<double> ranks = ranks_of(values.subspan(begin, end - begin));
  const Split split = largest_split(ranks, shortest);
  if (split.place == 0) {
    return;
  }
  int as_large = 1;  // the series itself
  for (int shuffle = 0; shuffle < kShuffles; ++shuffle) {
    for (std::size_t i = ranks.size(); i > 1; --i) {
      std::swap(ranks[i - 1], ranks[random.bits() % i]);
    }
    // Sums of the same ranks in another order may differ in the last bit.
    as_large += largest_split(ranks, shortest).size >= split.size - 1e-9 ? 1 : 0;
  }
  const double p = as_large / (kShuffles + 1.0);
  if (p >= alpha) {
    return;
  }
  search(values, begin, begin + split.place, alpha, shortest, random, found);
  found.emplace_back(begin + split.place, p);
  search(values, begin + split.place, end, alpha, shortest, random, found);
}

}  // namespace

std::vector<SeriesStep> find_steps(std::span<const double> values, double alpha,
                                   std::size_t shortest, std::uint64_t seed) {
  kernels::CounterRandom random(seed);
  std::vector<std::pair<std::size_t, double>> found;
  search(values, 0, values.size(), alpha, shortest, random, found);
  std::vector<SeriesStep> steps;
  const auto level = [&](std::size_t begin, std::size_t end) {
    const std::span<const double> part = values.subspan(begin, end - begin);
    return median_of({part.begin(), part.end()});
  };
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t from = i == 0 ? 0 : found[i - 1].first;
    const std::size_t to = i + 1 == found.size() ? values.size() : found[i + 1].first;
    steps.push_back(
        {found[i].first, level(from, found[i].first), level(found[i].first, to), found[i].second});
  }
  return steps;
}

}  // namespace kvsieve::sim
