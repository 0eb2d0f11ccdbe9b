// A ranking gives the budgets and selections that passes over the scores give.

#include "adakv/score_ranking.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "kernels/adakv/score_fixtures.h"
#include "kvsieve/kernels/token_selection.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

constexpr AlphaMode kModes[] = {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                                AlphaMode::kPaperLiteral, AlphaMode::kOfficialRounding};

TEST(ScoreRanking, BudgetsAreThoseOfAllocation) {
  std::uint32_t seed = 100;
  for (const std::int64_t heads : {1, 2, 3, 8}) {
    for (const std::int64_t m : {1, 2, 33, 257, 1025}) {
      for (const Spread spread : kSpreads) {
        const ScoreMatrix scores(random_scores(heads, m, spread, ++seed));
        const ScoreRanking ranking(scores.view());
        for (const std::int64_t b : std::set<std::int64_t>{0, 1, m / 5, m / 2, m - 1, m, m + 3}) {
          for (const AlphaMode mode : kModes) {
            for (const char* alpha : {"0", "0.2", "0.75", "1"}) {
              const AllocationOptions options{Decimal::parse(alpha), mode, 5};
              EXPECT_EQ(ranking.budgets(b, options), allocate_budgets(scores.view(), b, options))
                  << heads << " heads, " << m << " tokens, b " << b << ", alpha " << alpha
                  << ", mode " << static_cast<int>(mode);
            }
          }
        }
      }
    }
  }
}

TEST(ScoreRanking, SelectionsAreThoseOfSelectTokens) {
  std::uint32_t seed = 200;
  for (const std::int64_t m : {1, 16, 33, 257, 1025}) {
    for (const Spread spread : kSpreads) {
      const ScoreMatrix scores(random_scores(3, m, spread, ++seed));
      const ScoreRanking ranking(scores.view());
      for (std::int64_t head = 0; head < 3; ++head) {
        for (const std::int64_t count : std::set<std::int64_t>{0, 1, m / 3, m - 1, m}) {
          std::vector<std::int32_t> expected;
          select_tokens(scores.view().row(head), count, expected);
          for (std::int32_t& token : expected) {
            token += 7;
          }
          expected.insert(expected.begin(), -1);
          std::vector<std::int32_t> selected{-1};
          ranking.select(head, count, 7, selected);
          EXPECT_EQ(selected, expected) << m << " tokens, " << count;
        }
      }
    }
  }
}

TEST(ScoreRanking, ScoresThatAreNotFiniteAreNamed) {
  Scores scores = random_scores(2, 40, Spread::kDistinct, 3);
  scores[1][17] = std::numeric_limits<float>::infinity();
  const ScoreMatrix matrix(scores);
  const ScoreRanking ranking(matrix.view());
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "head 1, token 17",
                         [&] { static_cast<void>(ranking.budgets(5, {})); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "alpha", [&] {
    static_cast<void>(ranking.budgets(5, {Decimal{2, 1}, AlphaMode::kBlend, 0}));
  }));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
