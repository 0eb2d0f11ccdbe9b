#include "kvsieve/kernels/token_selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/adakv/budget_allocation_reference.h"
#include "kernels/adakv/score_fixtures.h"
#include "kernels/adakv/token_selection_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens selected(std::span<const float> scores, std::int64_t count) {
  Tokens tokens;
  select_tokens(scores, count, tokens);
  return tokens;
}

Tokens critical(std::span<const float> scores, std::span<const float> norms, std::int64_t count) {
  Tokens tokens;
  select_tokens_critical(scores, norms, count, tokens);
  return tokens;
}

/// Calls check(scores, count) over boundary shapes and spreads.
void for_rows(const std::function<void(const std::vector<float>&, std::int64_t)>& check) {
  for (const std::int64_t m :
       {1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 4097}) {
    for (const Spread spread : kSpreads) {
      const std::vector<float> scores =
          random_scores(1, m, spread, static_cast<std::uint32_t>(m))[0];
      for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, m / 3, m - 1, m}) {
        check(scores, count);
      }
    }
  }
}

TEST(TokenSelection, T07_KeepsTheLargestAscendingTiesToTheLowerIndex) {
  for_rows([](const std::vector<float>& scores, std::int64_t count) {
    EXPECT_EQ(selected(scores, count), reference_top_tokens(scores, count))
        << count << " of " << scores.size();
  });
}

TEST(TokenSelection, T15_EqualScoresGoToTheLowerTokens) {
  const std::vector<float> scores(100, 0.125F);
  for (std::int64_t count = 0; count <= 100; ++count) {
    Tokens expected(static_cast<std::size_t>(count));
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(selected(scores, count), expected);
  }
}

TEST(TokenSelection, T16_MoreThanThereAreTakesAll) {
  const std::vector<float> scores = {3, 1, 2};
  EXPECT_EQ(selected(scores, 4), Tokens({0, 1, 2}));
  EXPECT_EQ(selected(scores, 1'000'000), Tokens({0, 1, 2}));
  EXPECT_EQ(critical(scores, scores, 7), Tokens({0, 1, 2}));
  EXPECT_TRUE(selected(scores, 0).empty());
  EXPECT_TRUE(selected({}, 3).empty());
  EXPECT_TRUE(critical({}, {}, 3).empty());
}

TEST(TokenSelection, T18_ZerosOfBothSignsTieAndNegativeScoresAreOrdered) {
  const std::vector<float> scores = {-1.0F, -0.0F, 0.0F, -2.0F, -0.0F, -0.5F};
  EXPECT_EQ(selected(scores, 1), Tokens({1}));
  EXPECT_EQ(selected(scores, 2), Tokens({1, 2}));
  EXPECT_EQ(selected(scores, 4), Tokens({1, 2, 4, 5}));
  EXPECT_EQ(selected(scores, 5), Tokens({0, 1, 2, 4, 5}));
}

TEST(TokenSelection, AppendsToWhatIsThere) {
  const std::vector<float> scores = {1, 5, 3};
  Tokens tokens = {70, 60};
  select_tokens(scores, 2, tokens);
  EXPECT_EQ(tokens, Tokens({70, 60, 1, 2}));
  select_tokens_critical(scores, scores, 1, tokens);
  EXPECT_EQ(tokens, Tokens({70, 60, 1, 2, 1}));
}

TEST(LayerSelection, IsEachHeadsSelectionAndTheWindow) {
  for (const std::int64_t m : {1, 33, 4097, 40'000}) {
    for (const Spread spread : kSpreads) {
      const Scores scores = random_scores(5, m, spread, 9);
      const ScoreMatrix matrix(scores);
      const std::vector<std::int64_t> budgets = {0, m / 3, -2, m + 7, 1};
      for (const std::int64_t window : {0, 32}) {
        LayerSelection selection;
        selection.tokens.assign(7, -1);  // of an earlier layer
        selection.offsets.assign(2, -1);
        select_layer_tokens(matrix.view(), budgets, window, selection);
        Tokens expected;
        std::vector<std::int64_t> offsets = {0};
        for (std::size_t head = 0; head < 5; ++head) {
          select_tokens(scores[head], budgets[head], expected);
          for (std::int64_t j = m; j < m + window; ++j) {
            expected.push_back(static_cast<std::int32_t>(j));
          }
          offsets.push_back(static_cast<std::int64_t>(expected.size()));
        }
        EXPECT_EQ(selection.tokens, expected) << m;
        EXPECT_EQ(selection.offsets, offsets) << m;
      }
    }
  }
}

TEST(LayerSelection, DoesNotDependOnTheThreadCount) {
  const ScoreMatrix matrix(random_scores(9, 20'000, Spread::kBfloat, 10));
  const std::vector<std::int64_t> budgets(9, 4000);
  LayerSelection one;
  with_threads(1, [&] { select_layer_tokens(matrix.view(), budgets, 32, one); });
  for (const int threads : {2, 5}) {
    LayerSelection several;
    with_threads(threads, [&] { select_layer_tokens(matrix.view(), budgets, 32, several); });
    EXPECT_EQ(several.tokens, one.tokens);
  }
}

TEST(LayerSelection, WrongArgumentsAreUsageErrors) {
  const ScoreMatrix matrix(random_scores(2, 10, Spread::kDistinct, 1));
  const std::vector<std::int64_t> three = {1, 2, 3};
  const std::vector<std::int64_t> two = {1, 2};
  LayerSelection selection;
  EXPECT_THROW(select_layer_tokens(matrix.view(), three, 0, selection), Error);
  EXPECT_THROW(select_layer_tokens(matrix.view(), two, -1, selection), Error);
}

TEST(TokenSelection, T27_KeptListsFillTheirBudgetsExactly) {
  for (const Spread spread : kSpreads) {
    const Scores scores = random_scores(7, 257, spread, 3);
    const Budgets budgets = allocate_budgets(ScoreMatrix(scores).view(), 40, {});
    Tokens all;
    std::vector<std::size_t> offsets = {0};
    for (std::size_t head = 0; head < scores.size(); ++head) {
      select_tokens(scores[head], budgets[head], all);
      offsets.push_back(all.size());
    }
    EXPECT_EQ(offsets.back(), 7U * 40U);
    for (std::size_t head = 0; head < scores.size(); ++head) {
      const Tokens mine(all.begin() + static_cast<std::ptrdiff_t>(offsets[head]),
                        all.begin() + static_cast<std::ptrdiff_t>(offsets[head + 1]));
      EXPECT_EQ(static_cast<std::int64_t>(mine.size()), budgets[head]);
      EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
      EXPECT_EQ(std::adjacent_find(mine.begin(), mine.end()), mine.end());
      EXPECT_TRUE(std::all_of(mine.begin(), mine.end(),
                              [](std::int32_t token) { return token >= 0 && token < 257; }));
    }
  }
}

TEST(TokenSelection, T47_CriticalStagesEqualTheReference) {
  for_rows([](const std::vector<float>& scores, std::int64_t count) {
    std::vector<float> norms(scores.size());
    std::mt19937 generator(4);
    for (float& norm : norms) {
      norm = static_cast<float>(generator() % 8) / 4.0F;
    }
    EXPECT_EQ(critical(scores, norms, count), reference_critical_tokens(scores, norms, count))
        << count << " of " << scores.size();
  });
}

TEST(TokenSelection, T47_CriticalFirstHalfByScoreThenByScoreTimesNorm) {
  const std::vector<float> scores = {.40F, .30F, .10F, .08F, .07F, .05F};
  const std::vector<float> norms = {.1F, .1F, 1.0F, 2.0F, 1.0F, 9.0F};
  // Count 4: tokens 0 and 1 by score, then .45 (5) and .16 (3).
  EXPECT_EQ(critical(scores, norms, 4), Tokens({0, 1, 3, 5}));
  // An odd count rounds the first stage down: only token 0.
  EXPECT_EQ(critical(scores, norms, 3), Tokens({0, 3, 5}));
  EXPECT_EQ(critical(scores, norms, 1), Tokens({5}));
  // Equal norms: the same as by score alone.
  EXPECT_EQ(critical(scores, std::vector<float>(6, 2.0F), 4), Tokens({0, 1, 2, 3}));
  // The first stage is kept even where its product is 0.
  EXPECT_EQ(critical(scores, std::vector<float>({0, 0, 1, 1, 1, 1}), 4), Tokens({0, 1, 2, 3}));
}

TEST(TokenSelection, T47_CriticalWithGroupMeanNormsOfANaiveProduct) {
  const std::int64_t tokens = 130;
  const std::int64_t d = 48;
  const RandomHeads values(1, tokens, d, traces::DType::kF16, 5);
  const RandomHeads projections(3, d, 70, traces::DType::kF16, 6);
  const std::vector<float> scores = random_scores(1, tokens, Spread::kDistinct, 7)[0];
  std::vector<float> norms(static_cast<std::size_t>(tokens), 0.0F);
  std::vector<double> expected(static_cast<std::size_t>(tokens), 0.0);
  for (std::int64_t member = 0; member < 3; ++member) {
    PackedMatrix projection;
    projection.pack(HeadSlice(projections.view(), member));
    std::vector<float> mine(static_cast<std::size_t>(tokens));
    value_norms(HeadSlice(values.view(), 0), projection, mine);
    const std::vector<double> naive =
        reference_value_norms(values.exact(0), projections.exact(member));
    for (std::size_t j = 0; j < norms.size(); ++j) {
      norms[j] += mine[j] / 3.0F;
      expected[j] += naive[j] / 3.0;
    }
  }
  std::vector<float> rounded(expected.begin(), expected.end());
  for (std::size_t j = 0; j < norms.size(); ++j) {
    EXPECT_NEAR(norms[j], expected[j], 1e-5 * expected[j]);
  }
  EXPECT_EQ(critical(scores, norms, 40), reference_critical_tokens(scores, rounded, 40));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
