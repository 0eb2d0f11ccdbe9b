#include "kernels/adakv/budget_allocation_reference.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace kvsieve::kernels::tests {
namespace {

/// Each head's `count` highest tokens.
std::set<std::pair<std::int64_t, std::int64_t>> heads_own_top(const std::vector<Cell>& ranked,
                                                              std::size_t heads,
                                                              std::int64_t count) {
  std::set<std::pair<std::int64_t, std::int64_t>> cells;
  Budgets taken(heads, 0);
  for (const Cell& cell : ranked) {
    if (taken[static_cast<std::size_t>(cell.head)]++ < count) {
      cells.emplace(cell.head, cell.token);
    }
  }
  return cells;
}

Budgets floor_budgets(const Scores& scores, std::int64_t b, std::int64_t floor) {
  const std::vector<Cell> ranked = ranked_cells(scores);
  const auto pinned = heads_own_top(ranked, scores.size(), floor);
  Budgets budgets(scores.size(), floor);
  std::int64_t left = static_cast<std::int64_t>(scores.size()) * (b - floor);
  for (const Cell& cell : ranked) {
    if (left > 0 && !pinned.contains({cell.head, cell.token})) {
      ++budgets[static_cast<std::size_t>(cell.head)];
      --left;
    }
  }
  return budgets;
}

/// uniform / scale of the budget is spread evenly. The exact shares are handed out one token at a
/// time to the head that misses most.
Budgets blended(const Budgets& adaptive, std::int64_t b, std::int64_t uniform, std::int64_t scale) {
  Budgets missing;
  for (const std::int64_t f : adaptive) {
    missing.push_back((scale - uniform) * f + uniform * b);
  }
  Budgets budgets(adaptive.size(), 0);
  for (std::size_t i = 0; i < adaptive.size(); ++i) {
    while (missing[i] >= scale) {
      missing[i] -= scale;
      ++budgets[i];
    }
  }
  while (true) {
    const auto most = std::max_element(missing.begin(), missing.end());
    std::int64_t total = 0;
    for (const std::int64_t budget : budgets) {
      total += budget;
    }
    if (total == static_cast<std::int64_t>(adaptive.size()) * b) {
      return budgets;
    }
    ++budgets[static_cast<std::size_t>(most - missing.begin())];
    *most = -1;
  }
}

}  // namespace

std::vector<Cell> ranked_cells(const Scores& scores) {
  std::vector<Cell> cells;
  for (std::size_t head = 0; head < scores.size(); ++head) {
    for (std::size_t token = 0; token < scores[head].size(); ++token) {
      cells.push_back(
          {scores[head][token], static_cast<std::int64_t>(head), static_cast<std::int64_t>(token)});
    }
  }
  // The cells are listed by head and token already.
  std::stable_sort(cells.begin(), cells.end(),
                   [](const Cell& a, const Cell& b) { return a.score > b.score; });
  return cells;
}

Budgets reference_top_counts(const Scores& scores, std::int64_t total) {
  Budgets counts(scores.size(), 0);
  const std::vector<Cell> ranked = ranked_cells(scores);
  for (std::int64_t i = 0; i < total; ++i) {
    ++counts[static_cast<std::size_t>(ranked[static_cast<std::size_t>(i)].head)];
  }
  return counts;
}

Budgets reference_budgets(const Scores& scores, std::int64_t b, const AllocationOptions& options) {
  const auto m = static_cast<std::int64_t>(scores[0].size());
  if (b >= m) {
    return Budgets(scores.size(), m);
  }
  const std::int64_t units = options.alpha.units;
  const std::int64_t scale = options.alpha.scale;
  const std::int64_t total = static_cast<std::int64_t>(scores.size()) * b;
  switch (options.mode) {
    case AlphaMode::kBlend:
      return blended(reference_top_counts(scores, total), b, units, scale);
    case AlphaMode::kPaperLiteral:
      return blended(reference_top_counts(scores, total), b, scale - units, scale);
    case AlphaMode::kFloor:
      return floor_budgets(scores, b, units * b / scale);
    case AlphaMode::kFloorKvpress: {
      std::int64_t safe = units * (b + options.protected_tokens) / scale;
      if (units > 0 && safe == 0) {
        safe = 1;
      }
      return floor_budgets(scores, b,
                           std::min(b, std::max<std::int64_t>(0, safe - options.protected_tokens)));
    }
    case AlphaMode::kOfficialRounding:
      break;
  }
  Budgets budgets = reference_top_counts(scores, total);
  for (std::int64_t& budget : budgets) {
    // Halves are exact here for the alphas that the tests use; nearbyint rounds them to even.
    budget = std::lround(
        std::nearbyint(static_cast<double>(budget * (scale - units)) / static_cast<double>(scale) +
                       static_cast<double>(units * b / scale)));
  }
  return budgets;
}

Budgets reference_official_pyramid(std::int64_t layers, std::int64_t b, std::int64_t m) {
  std::int64_t least = b / 20;
  std::int64_t most = b * 2 - least;
  if (most >= m) {
    most = m;
    least = b * 2 - most;
  }
  const std::int64_t step = (most - least) / (layers - 1);
  Budgets budgets;
  for (std::int64_t budget = most; static_cast<std::int64_t>(budgets.size()) < layers;
       budget -= step) {
    budgets.push_back(budget);
  }
  return budgets;
}

}  // namespace kvsieve::kernels::tests
