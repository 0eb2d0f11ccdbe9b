#include "kvsieve/kernels/budget_allocation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "exec/cpu/parallel.h"
#include "kernels/adakv/budget_allocation_reference.h"
#include "kernels/adakv/score_fixtures.h"
#include "kernels/attention/random_heads.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

constexpr AlphaMode kModes[] = {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                                AlphaMode::kPaperLiteral, AlphaMode::kOfficialRounding};
constexpr AlphaMode kExactModes[] = {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                                     AlphaMode::kPaperLiteral};
const char* const kAlphas[] = {"0", "0.2", "0.25", "0.5", "0.75", "1"};

std::int64_t sum(const Budgets& budgets) {
  return std::accumulate(budgets.begin(), budgets.end(), std::int64_t{0});
}

Budgets allocate(const Scores& scores, std::int64_t b, const std::string& alpha, AlphaMode mode,
                 std::int64_t protected_tokens = 0) {
  return allocate_budgets(ScoreMatrix(scores).view(), b,
                          {Decimal::parse(alpha), mode, protected_tokens});
}

Budgets top_counts(const Scores& scores, std::int64_t total) {
  return global_top_counts(ScoreMatrix(scores).view(), total);
}

std::string describe(const Scores& scores, std::int64_t b, Spread spread) {
  return std::to_string(scores.size()) + " heads, " + std::to_string(scores[0].size()) +
         " tokens, b " + std::to_string(b) + ", spread " + std::to_string(static_cast<int>(spread));
}

/// Calls check(scores, b, spread) over layers of boundary shapes.
void for_layers(const std::function<void(const Scores&, std::int64_t, Spread)>& check) {
  std::uint32_t seed = 0;
  for (const std::int64_t heads : {1, 2, 3, 8}) {
    for (const std::int64_t m : {1, 31, 32, 33, 64, 255, 257, 1025}) {
      const Spread spread = kSpreads[seed % std::size(kSpreads)];
      const Scores scores = random_scores(heads, m, spread, ++seed);
      for (const std::int64_t b : {std::int64_t{0}, std::int64_t{1}, m / 5, m / 2, m - 1}) {
        check(scores, std::min(b, m), spread);
      }
    }
  }
  for (const Spread spread : kSpreads) {
    const Scores scores = random_scores(4, 4097, spread, 100);
    check(scores, 819, spread);
  }
}

TEST(BudgetAllocation, T01_T07_CountsAreThoseOfTheLargestOfTheLayer) {
  for_layers([](const Scores& scores, std::int64_t b, Spread spread) {
    SCOPED_TRACE(describe(scores, b, spread));
    const auto heads = static_cast<std::int64_t>(scores.size());
    const Budgets counts = top_counts(scores, heads * b);
    EXPECT_EQ(sum(counts), heads * b);
    EXPECT_EQ(counts, reference_top_counts(scores, heads * b));
    if (b == 0) {
      return;
    }
    const float threshold = ranked_cells(scores)[static_cast<std::size_t>(heads * b - 1)].score;
    for (std::size_t head = 0; head < scores.size(); ++head) {
      const auto above = std::count_if(scores[head].begin(), scores[head].end(),
                                       [&](float score) { return score > threshold; });
      const auto reached = std::count_if(scores[head].begin(), scores[head].end(),
                                         [&](float score) { return score >= threshold; });
      EXPECT_GE(counts[head], above);
      EXPECT_LE(counts[head], reached);
    }
  });
}

TEST(BudgetAllocation, T07_KeptTokensAreThoseAboveTheThreshold) {
  for_layers([](const Scores& scores, std::int64_t b, Spread spread) {
    SCOPED_TRACE(describe(scores, b, spread));
    const auto heads = static_cast<std::int64_t>(scores.size());
    const auto kept = select_all(scores, top_counts(scores, heads * b));
    std::vector<std::vector<std::int32_t>> expected(scores.size());
    const std::vector<Cell> ranked = ranked_cells(scores);
    for (std::int64_t i = 0; i < heads * b; ++i) {
      const Cell& cell = ranked[static_cast<std::size_t>(i)];
      expected[static_cast<std::size_t>(cell.head)].push_back(
          static_cast<std::int32_t>(cell.token));
    }
    for (std::vector<std::int32_t>& tokens : expected) {
      std::sort(tokens.begin(), tokens.end());
    }
    EXPECT_EQ(kept, expected);
  });
}

TEST(BudgetAllocation, T02_EveryModeEqualsTheReferenceAndIsExact) {
  for_layers([](const Scores& scores, std::int64_t b, Spread spread) {
    SCOPED_TRACE(describe(scores, b, spread));
    const auto heads = static_cast<std::int64_t>(scores.size());
    const auto m = static_cast<std::int64_t>(scores[0].size());
    for (const AlphaMode mode : kModes) {
      for (const char* alpha : kAlphas) {
        for (const std::int64_t protected_tokens : {0, 4}) {
          const AllocationOptions options{Decimal::parse(alpha), mode, protected_tokens};
          const Budgets budgets = allocate_budgets(ScoreMatrix(scores).view(), b, options);
          EXPECT_EQ(budgets, reference_budgets(scores, b, options))
              << "mode " << static_cast<int>(mode) << ", alpha " << alpha;
          if (mode != AlphaMode::kOfficialRounding) {
            EXPECT_EQ(sum(budgets), heads * b);
          }
          EXPECT_GE(*std::min_element(budgets.begin(), budgets.end()), 0);
          EXPECT_LE(*std::max_element(budgets.begin(), budgets.end()), m);
          if (mode != AlphaMode::kFloorKvpress) {
            break;  // only kvpress counts protected tokens
          }
        }
      }
    }
  });
}

TEST(BudgetAllocation, T03_EachHeadGetsItsFloor) {
  for_layers([](const Scores& scores, std::int64_t b, Spread spread) {
    SCOPED_TRACE(describe(scores, b, spread));
    for (const char* alpha : kAlphas) {
      const std::int64_t floor = Decimal::parse(alpha).floor_times(b);
      for (const AlphaMode mode : {AlphaMode::kBlend, AlphaMode::kFloor}) {
        const Budgets budgets = allocate(scores, b, alpha, mode);
        EXPECT_GE(*std::min_element(budgets.begin(), budgets.end()), floor) << alpha;
      }
      // kvpress counts the window: with 10 protected tokens the floor outside them is smaller.
      const std::int64_t with_window = Decimal::parse(alpha).floor_times(b + 10) - 10;
      const Budgets budgets = allocate(scores, b, alpha, AlphaMode::kFloorKvpress, 10);
      EXPECT_GE(*std::min_element(budgets.begin(), budgets.end()), with_window) << alpha;
    }
  });
}

TEST(BudgetAllocation, T03_KvpressKeepsAtLeastOneTokenAHead) {
  const Scores scores = {{9, 8, 7, 6}, {5, 4, 3, 2}, {1, 1, 1, 1}};
  // floor(0.2 * 2) is 0; kvpress raises it to 1 as long as alpha is not 0.
  EXPECT_EQ(allocate(scores, 2, "0.2", AlphaMode::kFloorKvpress), Budgets({4, 1, 1}));
  EXPECT_EQ(allocate(scores, 2, "0.2", AlphaMode::kFloor), Budgets({4, 2, 0}));
  EXPECT_EQ(allocate(scores, 2, "0", AlphaMode::kFloorKvpress), Budgets({4, 2, 0}));
  // The protected token is that one.
  EXPECT_EQ(allocate(scores, 2, "0.2", AlphaMode::kFloorKvpress, 1), Budgets({4, 2, 0}));
  // floor(0.5 * (3 + 1)) - 1.
  EXPECT_EQ(allocate(scores, 3, "0.5", AlphaMode::kFloorKvpress, 1), Budgets({4, 4, 1}));
}

TEST(BudgetAllocation, T04_AlphaOneIsUniformAndAlphaZeroIsAdaptive) {
  for_layers([](const Scores& scores, std::int64_t b, Spread spread) {
    SCOPED_TRACE(describe(scores, b, spread));
    const Budgets uniform(scores.size(), b);
    const Budgets adaptive = top_counts(scores, static_cast<std::int64_t>(scores.size()) * b);
    for (const AlphaMode mode : {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                                 AlphaMode::kOfficialRounding}) {
      EXPECT_EQ(allocate(scores, b, "1", mode), uniform);
      EXPECT_EQ(allocate(scores, b, "0", mode), adaptive);
    }
    EXPECT_EQ(allocate(scores, b, "0", AlphaMode::kPaperLiteral), uniform);
    EXPECT_EQ(allocate(scores, b, "1", AlphaMode::kPaperLiteral), adaptive);
    EXPECT_EQ(allocate(scores, b, "0.2", AlphaMode::kPaperLiteral),
              allocate(scores, b, "0.8", AlphaMode::kBlend));
    EXPECT_EQ(allocate(scores, b, "0.75", AlphaMode::kPaperLiteral),
              allocate(scores, b, "0.25", AlphaMode::kBlend));
  });
}

TEST(BudgetAllocation, AlphaBeyondOneIsRejected) {
  const Scores scores = {{1, 2, 3}};
  for (const AlphaMode mode : kModes) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "alpha is 1.1",
                           [&] { static_cast<void>(allocate(scores, 1, "1.1", mode)); }));
  }
}

// Figure 1 of the paper: three heads, six tokens.
const Scores kFigure1 = {{.32F, .01F, .18F, .08F, .22F, .19F},
                         {.89F, .01F, .05F, .02F, .01F, .02F},
                         {.68F, .01F, .08F, .04F, .09F, .10F}};

TEST(BudgetAllocation, T05_GoldenFigure1) {
  const Budgets adaptive = top_counts(kFigure1, 6);
  EXPECT_EQ(adaptive, Budgets({4, 1, 1}));
  const double uniform_mass = retained_mass(kFigure1, {2, 2, 2});
  const double adaptive_mass = retained_mass(kFigure1, adaptive);
  EXPECT_NEAR(uniform_mass, 2.26, 1e-6);
  EXPECT_NEAR(adaptive_mass, 2.48, 1e-6);
  // eps / 2C = sum over heads of (1 - F).
  EXPECT_NEAR(3.0 - uniform_mass, 0.74, 1e-6);
  EXPECT_NEAR(3.0 - adaptive_mass, 0.52, 1e-6);
}

TEST(BudgetAllocation, T05_GoldenOfficialRounding) {
  EXPECT_EQ(allocate(kFigure1, 2, "0.2", AlphaMode::kOfficialRounding), Budgets({3, 1, 1}));
  EXPECT_EQ(allocate(kFigure1, 2, "0.5", AlphaMode::kOfficialRounding), Budgets({3, 2, 2}));
  EXPECT_EQ(allocate(kFigure1, 2, "1", AlphaMode::kOfficialRounding), Budgets({2, 2, 2}));
}

TEST(BudgetAllocation, T05_OfficialRoundingRoundsHalvesToEven) {
  // f = (3, 2, 1) and floor(0.5 * 2) = 1: 2.5, 2 and 1.5.
  const Scores scores = {{9, 8, 7, 0}, {6, 5, 0, 0}, {4, 0, 0, 0}};
  EXPECT_EQ(top_counts(scores, 6), Budgets({3, 2, 1}));
  EXPECT_EQ(allocate(scores, 2, "0.5", AlphaMode::kOfficialRounding), Budgets({2, 2, 2}));
}

TEST(BudgetAllocation, T05_GoldenLargestRemainder) {
  EXPECT_EQ(allocate(kFigure1, 2, "0.2", AlphaMode::kBlend), Budgets({4, 1, 1}));
  EXPECT_EQ(allocate(kFigure1, 2, "0.5", AlphaMode::kBlend), Budgets({3, 2, 1}));
}

TEST(BudgetAllocation, LargestRemainderGivesTiesToTheLowerIndex) {
  const std::int64_t halves[] = {3, 1, 3, 1};  // 1.5 0.5 1.5 0.5
  EXPECT_EQ(round_largest_remainder(halves, 2, 4), Budgets({2, 1, 1, 0}));
  const std::int64_t tenths[] = {12, 5, 9, 4};
  EXPECT_EQ(round_largest_remainder(tenths, 10, 3), Budgets({1, 1, 1, 0}));
  const std::int64_t whole[] = {20, 0, 10};
  EXPECT_EQ(round_largest_remainder(whole, 10, 3), Budgets({2, 0, 1}));
}

TEST(BudgetAllocation, LargestRemainderStaysWithinOneOfTheShare) {
  std::mt19937 generator(3);
  for (int round = 0; round < 500; ++round) {
    const std::int64_t denominator = 1 + static_cast<std::int64_t>(generator() % 97);
    std::vector<std::int64_t> numerators(1 + generator() % 20);
    for (std::int64_t& numerator : numerators) {
      numerator = static_cast<std::int64_t>(generator() % 1000);
    }
    numerators[0] += (denominator - sum(numerators) % denominator) % denominator;
    const std::int64_t total = sum(numerators) / denominator;
    const Budgets rounded = round_largest_remainder(numerators, denominator, total);
    EXPECT_EQ(sum(rounded), total);
    for (std::size_t i = 0; i < numerators.size(); ++i) {
      EXPECT_GE(rounded[i], numerators[i] / denominator);
      EXPECT_LE(rounded[i], (numerators[i] + denominator - 1) / denominator);
    }
  }
}

// Budgets and kept tokens as kvpress 0.5.5 gives them; both floor modes agree here.
const Scores kGolden2 = {{.30F, .02F, .25F, .05F, .20F, .03F, .10F, .05F},
                         {.90F, .03F, .02F, .01F, .01F, .01F, .01F, .01F},
                         {.13F, .12F, .14F, .11F, .15F, .10F, .13F, .12F}};

TEST(BudgetAllocation, T06_GoldenKvpress) {
  using Kept = std::vector<std::vector<std::int32_t>>;
  for (const AlphaMode mode : {AlphaMode::kFloor, AlphaMode::kFloorKvpress}) {
    const Budgets quarter = allocate(kGolden2, 2, "0.2", mode);
    EXPECT_EQ(quarter, Budgets({3, 1, 2}));
    EXPECT_EQ(select_all(kGolden2, quarter), Kept({{0, 2, 4}, {0}, {2, 4}}));
    const Budgets half = allocate(kGolden2, 4, "0.5", mode);
    EXPECT_EQ(half, Budgets({3, 2, 7}));
    EXPECT_EQ(select_all(kGolden2, half), Kept({{0, 2, 4}, {0, 1}, {0, 1, 2, 3, 4, 6, 7}}));
  }
}

TEST(BudgetAllocation, T08_T41_NoAllocationRetainsMore) {
  std::mt19937 generator(5);
  for (int round = 0; round < 40; ++round) {
    const Spread spread = kSpreads[static_cast<std::size_t>(round) % std::size(kSpreads)];
    const std::int64_t m = 20 + round;
    const Scores scores = random_scores(4, m, spread, static_cast<std::uint32_t>(round));
    const std::int64_t b = 1 + round % (m - 1);
    const double best = retained_mass(scores, top_counts(scores, 4 * b));
    // Sums of the same numbers in another order may differ in their last bits.
    const double slack = 1e-12;
    EXPECT_GE(best + slack, retained_mass(scores, Budgets(4, b)));
    for (int attempt = 0; attempt < 50; ++attempt) {
      Budgets other(4, 0);
      for (std::int64_t left = 4 * b; left > 0;) {
        std::int64_t& budget = other[generator() % 4];
        if (budget < m) {
          ++budget;
          --left;
        }
      }
      EXPECT_GE(best + slack, retained_mass(scores, other));
    }
  }
}

/// G_i(x): the mass of head i's x largest scores, linear between whole numbers.
double interpolated_mass(const std::vector<float>& scores, double budget) {
  std::vector<float> sorted = scores;
  std::sort(sorted.rbegin(), sorted.rend());
  const auto whole = static_cast<std::size_t>(budget);
  double mass =
      std::accumulate(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(whole), 0.0);
  if (whole < sorted.size()) {
    mass += (budget - static_cast<double>(whole)) * static_cast<double>(sorted[whole]);
  }
  return mass;
}

TEST(BudgetAllocation, T09_BlendingIsConcave) {
  for (std::uint32_t round = 0; round < 200; ++round) {
    const Scores scores = random_scores(5, 60, Spread::kDistinct, round);
    const std::int64_t b = 3 + round % 50;
    const Budgets adaptive = top_counts(scores, 5 * b);
    const double adaptive_mass = retained_mass(scores, adaptive);
    const double uniform_mass = retained_mass(scores, Budgets(5, b));
    for (const double alpha : {0.2, 0.5, 0.8}) {
      double blended_mass = 0.0;
      for (std::size_t head = 0; head < 5; ++head) {
        blended_mass +=
            interpolated_mass(scores[head], (1.0 - alpha) * static_cast<double>(adaptive[head]) +
                                                alpha * static_cast<double>(b));
      }
      EXPECT_GE(blended_mass + 1e-9, (1.0 - alpha) * adaptive_mass + alpha * uniform_mass);
      EXPECT_GE(blended_mass + 1e-9, uniform_mass);
    }
    // Rounding keeps the order: never below the uniform budget.
    for (const char* alpha : {"0.2", "0.5", "0.8"}) {
      const double rounded_mass =
          retained_mass(scores, allocate(scores, b, alpha, AlphaMode::kBlend));
      EXPECT_GE(rounded_mass + 1e-9, uniform_mass) << alpha;
      EXPECT_LE(rounded_mass, adaptive_mass + 1e-9) << alpha;
    }
  }
}

/// The largest mass over all budgets of this total with at least `floor` a head.
double best_mass_above_floor(const Scores& scores, std::size_t head, std::int64_t floor,
                             std::int64_t left, Budgets& budgets) {
  const auto m = static_cast<std::int64_t>(scores[0].size());
  if (head + 1 == scores.size()) {
    if (left < floor || left > m) {
      return -HUGE_VAL;
    }
    budgets[head] = left;
    return retained_mass(scores, budgets);
  }
  double best = -HUGE_VAL;
  for (budgets[head] = floor; budgets[head] <= std::min(m, left); ++budgets[head]) {
    const std::int64_t mine = budgets[head];
    best = std::max(best, best_mass_above_floor(scores, head + 1, floor, left - mine, budgets));
    budgets[head] = mine;
  }
  return best;
}

TEST(BudgetAllocation, T10_FloorIsOptimalByBruteForce) {
  for (std::uint32_t round = 0; round < 60; ++round) {
    const Spread spread = kSpreads[round % std::size(kSpreads)];
    const std::int64_t heads = 1 + round % 3;
    const std::int64_t m = 2 + round % 6;
    const Scores scores = random_scores(heads, m, spread, 1000 + round);
    for (std::int64_t b = 0; b < m; ++b) {
      for (const char* alpha : {"0", "0.2", "0.5", "0.75", "1"}) {
        Budgets budgets(scores.size(), 0);
        const std::int64_t floor = Decimal::parse(alpha).floor_times(b);
        EXPECT_NEAR(retained_mass(scores, allocate(scores, b, alpha, AlphaMode::kFloor)),
                    best_mass_above_floor(scores, 0, floor, heads * b, budgets), 1e-9)
            << heads << " heads, " << m << " tokens, b " << b << ", alpha " << alpha;
      }
    }
  }
}

TEST(BudgetAllocation, T11_OneMoreSlotAddsExactlyOneCell) {
  for (const Spread spread : kSpreads) {
    const Scores scores = random_scores(3, 40, spread, 7);
    auto before = select_all(scores, top_counts(scores, 0));
    for (std::int64_t total = 1; total <= 120; ++total) {
      const auto after = select_all(scores, top_counts(scores, total));
      std::size_t added = 0;
      for (std::size_t head = 0; head < 3; ++head) {
        EXPECT_TRUE(std::includes(after[head].begin(), after[head].end(), before[head].begin(),
                                  before[head].end()))
            << total;
        added += after[head].size() - before[head].size();
      }
      EXPECT_EQ(added, 1U) << total;
      before = after;
    }
  }
}

TEST(BudgetAllocation, T12_ScalingAllScoresChangesNothing) {
  for (const Spread spread : kSpreads) {
    const Scores scores = random_scores(4, 100, spread, 8);
    for (const float factor : {0x1p-20F, 0.5F, 4.0F, 0x1p20F}) {  // exact in fp32
      Scores scaled = scores;
      for (std::vector<float>& row : scaled) {
        for (float& score : row) {
          score *= factor;
        }
      }
      for (const AlphaMode mode : kModes) {
        EXPECT_EQ(allocate(scaled, 30, "0.2", mode), allocate(scores, 30, "0.2", mode));
      }
    }
  }
}

TEST(BudgetAllocation, T12_ScalingOneHeadUpNeverLowersItsShare) {
  for (std::uint32_t round = 0; round < 50; ++round) {
    const Scores scores = random_scores(4, 50, Spread::kDistinct, round);
    const Budgets before = top_counts(scores, 80);
    for (std::size_t head = 0; head < 4; ++head) {
      for (const float factor : {1.1F, 2.0F, 100.0F}) {
        Scores scaled = scores;
        for (float& score : scaled[head]) {
          score *= factor;
        }
        EXPECT_GE(top_counts(scaled, 80)[head], before[head]);
      }
    }
  }
}

TEST(BudgetAllocation, T13_PermutedHeadsGetPermutedBudgets) {
  const Scores scores = random_scores(8, 90, Spread::kDistinct, 9);
  std::vector<std::size_t> order(8);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 generator(10);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(order.begin(), order.end(), generator);
    Scores permuted;
    for (const std::size_t head : order) {
      permuted.push_back(scores[head]);
    }
    for (const AlphaMode mode :
         {AlphaMode::kFloor, AlphaMode::kFloorKvpress, AlphaMode::kOfficialRounding}) {
      const Budgets before = allocate(scores, 20, "0.2", mode);
      const Budgets after = allocate(permuted, 20, "0.2", mode);
      for (std::size_t i = 0; i < 8; ++i) {
        EXPECT_EQ(after[i], before[order[i]]);
      }
    }
    // Equal remainders are settled by the head's number, so that blend agrees to within one.
    const Budgets before = allocate(scores, 20, "0.2", AlphaMode::kBlend);
    const Budgets after = allocate(permuted, 20, "0.2", AlphaMode::kBlend);
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_LE(std::abs(after[i] - before[order[i]]), 1);
    }
  }
}

TEST(BudgetAllocation, T13_PermutedTokensKeepTheSameTokens) {
  const Scores scores = random_scores(3, 90, Spread::kDistinct, 11);
  std::vector<std::size_t> order(90);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937(12));
  Scores permuted = scores;
  for (std::size_t head = 0; head < 3; ++head) {
    for (std::size_t j = 0; j < 90; ++j) {
      permuted[head][j] = scores[head][order[j]];
    }
  }
  for (const AlphaMode mode : kModes) {
    const Budgets budgets = allocate(scores, 20, "0.2", mode);
    ASSERT_EQ(allocate(permuted, 20, "0.2", mode), budgets);
    const auto kept = select_all(scores, budgets);
    auto moved = select_all(permuted, budgets);
    for (std::size_t head = 0; head < 3; ++head) {
      for (std::int32_t& token : moved[head]) {
        token = static_cast<std::int32_t>(order[static_cast<std::size_t>(token)]);
      }
      std::sort(moved[head].begin(), moved[head].end());
    }
    EXPECT_EQ(moved, kept);
  }
}

TEST(BudgetAllocation, T14_IdenticalHeadsShareEquallyAndTiesGoToLowerHeads) {
  const std::vector<float> row = random_scores(1, 50, Spread::kDistinct, 13)[0];
  const Scores scores(5, row);
  for (std::int64_t total = 0; total <= 250; ++total) {
    const Budgets counts = top_counts(scores, total);
    for (std::int64_t head = 0; head < 5; ++head) {
      EXPECT_EQ(counts[static_cast<std::size_t>(head)], total / 5 + (head < total % 5 ? 1 : 0));
    }
  }
  for (const AlphaMode mode : kModes) {
    EXPECT_EQ(allocate(scores, 10, "0.2", mode), Budgets(5, 10));
  }
}

TEST(BudgetAllocation, T15_EqualScoresGoToLowerHeadsThenLowerTokens) {
  const Scores scores(3, std::vector<float>(10, 0.25F));
  const Budgets counts = top_counts(scores, 14);
  EXPECT_EQ(counts, Budgets({10, 4, 0}));
  EXPECT_EQ(select_all(scores, counts)[1], std::vector<std::int32_t>({0, 1, 2, 3}));
  EXPECT_EQ(allocate(scores, 4, "0.5", AlphaMode::kFloor), Budgets({8, 2, 2}));
  EXPECT_EQ(allocate(scores, 4, "0.5", AlphaMode::kBlend), Budgets({7, 3, 2}));
}

TEST(BudgetAllocation, T16_BudgetsBeyondTheTokensKeepAll) {
  const Scores scores = random_scores(3, 20, Spread::kDistinct, 14);
  for (const AlphaMode mode : kModes) {
    for (const std::int64_t b : {20, 21, 1000}) {
      EXPECT_EQ(allocate(scores, b, "0.2", mode), Budgets(3, 20));
    }
    EXPECT_EQ(allocate(scores, 0, "0.2", mode), Budgets(3, 0));
    EXPECT_EQ(allocate(scores, 0, "0.2", mode, 32), Budgets(3, 0));
  }
  std::vector<std::int32_t> everything(20);
  std::iota(everything.begin(), everything.end(), 0);
  for (const auto& tokens : select_all(scores, Budgets(3, 20))) {
    EXPECT_EQ(tokens, everything);
  }
  for (const std::int64_t total : {60, 61, 1000}) {
    EXPECT_EQ(top_counts(scores, total), Budgets(3, 20)) << total;
  }
}

TEST(BudgetAllocation, ReadsRowsAtTheirStride) {
  const Scores scores = random_scores(3, 40, Spread::kDistinct, 21);
  std::vector<float> wide(3 * 50, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t head = 0; head < 3; ++head) {
    std::copy(scores[head].begin(), scores[head].end(),
              wide.begin() + static_cast<std::ptrdiff_t>(50 * head));
  }
  const MatrixView<const float> view(wide.data(), 3, 40, 50);
  EXPECT_EQ(global_top_counts(view, 50), top_counts(scores, 50));
  for (const AlphaMode mode : kModes) {
    EXPECT_EQ(allocate_budgets(view, 15, {Decimal::parse("0.2"), mode, 4}),
              allocate(scores, 15, "0.2", mode, 4));
  }
}

TEST(BudgetAllocation, T17_OneHeadAndShortPrompts) {
  const Scores one = random_scores(1, 33, Spread::kHalf, 15);
  for (std::int64_t b = 0; b <= 33; ++b) {
    for (const AlphaMode mode : kExactModes) {
      EXPECT_EQ(allocate(one, b, "0.2", mode), Budgets({b}));
    }
  }
  // Nothing or one token outside the window.
  for (const AlphaMode mode : kModes) {
    const AllocationOptions options{Decimal::parse("0.2"), mode, 32};
    EXPECT_EQ(allocate_budgets(MatrixView<const float>(nullptr, 3, 0), 5, options), Budgets(3, 0));
    EXPECT_EQ(allocate(Scores(3, {0.5F}), 0, "0.2", mode, 32), Budgets(3, 0));
    EXPECT_EQ(allocate(Scores(3, {0.5F}), 1, "0.2", mode, 32), Budgets(3, 1));
  }
}

TEST(BudgetAllocation, T18_ScoresThatAreNotFiniteAreRejectedByName) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    Scores scores(3, std::vector<float>(9, 0.5F));
    scores[2][7] = bad;
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "head 2, token 7",
                           [&] { static_cast<void>(top_counts(scores, 5)); }));
    for (const AlphaMode mode : kModes) {
      for (const std::int64_t b : {0, 3, 9, 10}) {
        EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "head 2, token 7",
                               [&] { static_cast<void>(allocate(scores, b, "0.2", mode)); }))
            << "b " << b;
      }
    }
  }
}

TEST(BudgetAllocation, T18_ZerosOfBothSignsTie) {
  const Scores scores = {{-0.0F, -0.0F, 0.0F}, {0.0F, 0.0F, -0.0F}, {-1.0F, 1.0F, -2.0F}};
  EXPECT_EQ(top_counts(scores, 3), Budgets({2, 0, 1}));
  EXPECT_EQ(top_counts(scores, 5), Budgets({3, 1, 1}));
  EXPECT_EQ(top_counts(scores, 8), Budgets({3, 3, 2}));
}

TEST(BudgetAllocation, T19_ThousandsOfTiesKeepTheTotalExact) {
  for (const Spread spread : {Spread::kHalf, Spread::kBfloat, Spread::kFewLevels}) {
    const Scores scores = random_scores(8, 8160, spread, 16);
    std::vector<float> values;
    for (const std::vector<float>& row : scores) {
      values.insert(values.end(), row.begin(), row.end());
    }
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    ASSERT_LT(values.size(), scores.size() * scores[0].size() / 5) << "the fixture has few ties";
    for (const std::int64_t b : {96, 480, 2016}) {
      for (const AlphaMode mode : kExactModes) {
        const AllocationOptions options{Decimal::parse("0.2"), mode, 32};
        const Budgets budgets = allocate_budgets(ScoreMatrix(scores).view(), b, options);
        EXPECT_EQ(sum(budgets), 8 * b);
        EXPECT_EQ(budgets, reference_budgets(scores, b, options));
      }
    }
  }
}

TEST(BudgetAllocation, T20_TheDefaultAdapts) {
  Scores scores(2, std::vector<float>(64, 1.0F / 64.0F));
  scores[0].assign(64, 0.001F);  // one token has it all
  scores[0][5] = 0.937F;
  const Budgets budgets = allocate_budgets(ScoreMatrix(scores).view(), 16, {});
  EXPECT_LT(budgets[0], budgets[1]);
  // 0.8 * 1 + 0.2 * 16 = 4 of the peaked head, where all but one are left.
  EXPECT_EQ(budgets, Budgets({4, 28}));
}

TEST(BudgetAllocation, AllocatesAndSelectsInSeveralThreadsAtOnce) {
  std::vector<Scores> layers;
  for (std::uint32_t i = 0; i < 40; ++i) {
    layers.push_back(random_scores(4, 100 + 13 * i, kSpreads[i % std::size(kSpreads)], i));
  }
  const auto run = [&](int threads) {
    std::vector<std::vector<std::vector<std::int32_t>>> kept(layers.size());
    with_threads(threads, [&] {
      parallel_blocks(
          static_cast<std::int64_t>(layers.size()), 1, [&](std::int64_t first, std::int64_t) {
            const auto i = static_cast<std::size_t>(first);
            for (int repeat = 0; repeat < 20; ++repeat) {  // enough work to overlap
              kept[i] = select_all(layers[i],
                                   allocate(layers[i], 40, "0.2", kModes[i % std::size(kModes)]));
            }
          });
    });
    return kept;
  };
  const auto expected = run(1);
  EXPECT_EQ(run(2), expected);
  EXPECT_EQ(run(5), expected);
}

struct PyramidRow {
  std::int64_t base;
  std::int64_t first;
  std::int64_t last;
  double mean;
};

TEST(PyramidBudgets, T43_OfficialStepGivesThePublishedTotals) {
  // 32 layers, window 32: base capacity, budgets of the first and last layer, their mean.
  const PyramidRow rows[] = {{128, 188, 33, 110.5},
                             {256, 437, 34, 235.5},
                             {512, 936, 37, 486.5},
                             {1024, 1935, 75, 1005.0},
                             {2048, 3932, 119, 2025.5}};
  for (const PyramidRow& row : rows) {
    const Budgets budgets = pyramid_budgets(32, row.base - 32, 100'000, true);
    ASSERT_EQ(budgets.size(), 32U);
    EXPECT_EQ(budgets.front(), row.first) << row.base;
    EXPECT_EQ(budgets.back(), row.last) << row.base;
    EXPECT_DOUBLE_EQ(static_cast<double>(sum(budgets)) / 32.0, row.mean) << row.base;
  }
}

TEST(PyramidBudgets, T43_OfficialEqualsTheReference) {
  for (const std::int64_t layers : {2, 3, 26, 30, 32, 80}) {
    for (const std::int64_t b : {1, 19, 20, 21, 96, 480, 2016}) {
      for (const std::int64_t m : {b, b + 1, 2 * b - b / 20 - 1, 2 * b - b / 20, 2 * b, 8 * b}) {
        if (m >= b) {
          EXPECT_EQ(pyramid_budgets(layers, b, m, true), reference_official_pyramid(layers, b, m))
              << layers << " layers, b " << b << ", m " << m;
        }
      }
    }
  }
}

TEST(PyramidBudgets, T43_ExactTotalsFallFromBottomToTop) {
  for (const std::int64_t layers : {1, 2, 3, 7, 26, 30, 32, 80}) {
    for (const std::int64_t b : {0, 1, 3, 19, 20, 21, 96, 224, 480, 992, 2016}) {
      for (const std::int64_t m : {b, b + 1, b + b / 2, 2 * b - b / 20, 2 * b, 8 * b, 100'000L}) {
        if (m < b) {
          continue;
        }
        const Budgets budgets = pyramid_budgets(layers, b, m, false);
        ASSERT_EQ(budgets.size(), static_cast<std::size_t>(layers));
        EXPECT_EQ(sum(budgets), layers * b);
        EXPECT_TRUE(std::is_sorted(budgets.rbegin(), budgets.rend()))
            << layers << " layers, b " << b << ", m " << m;
        EXPECT_LE(budgets.front(), m);
        EXPECT_GE(budgets.back(), 0);
        if (layers == 1) {
          continue;
        }
        const std::int64_t most = std::min(2 * b - b / 20, m);
        EXPECT_EQ(budgets.front(), most);
        for (std::int64_t layer = 0; layer < layers; ++layer) {
          const double line =
              static_cast<double>(most) -
              static_cast<double>(layer * (2 * most - 2 * b)) / static_cast<double>(layers - 1);
          EXPECT_LT(std::abs(static_cast<double>(budgets[static_cast<std::size_t>(layer)]) - line),
                    1.0);
        }
      }
    }
  }
}

TEST(PyramidBudgets, T16_T43_BudgetsBeyondTheTokensKeepAll) {
  for (const std::int64_t layers : {1, 2, 30}) {
    for (const std::int64_t b : {50, 51, 74, 75, 76, 1000}) {
      for (const bool official : {false, true}) {
        EXPECT_EQ(pyramid_budgets(layers, b, 50, official),
                  Budgets(static_cast<std::size_t>(layers), 50))
            << layers << " layers, b " << b << (official ? ", official" : "");
      }
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::tests
