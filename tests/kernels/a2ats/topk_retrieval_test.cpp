#include "kvsieve/kernels/topk_retrieval.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "kernels/a2ats/a2ats_reference.h"

namespace kvsieve::kernels::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

/// Scores with many exact ties, as tokens that share a codeword have.
std::vector<float> tied_scores(std::size_t n, int distinct, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> table(static_cast<std::size_t>(distinct));
  std::generate(table.begin(), table.end(), [&] { return normal(random); });
  std::vector<float> scores(n);
  std::generate(scores.begin(), scores.end(), [&] { return table[random() % table.size()]; });
  return scores;
}

Tokens top(const std::vector<float>& scores, TokenRange range, std::int64_t k) {
  Tokens selected;
  select_top(scores, range, k, selected);
  return selected;
}

TEST(TopkRetrieval, T30_SelectionEqualsAFullSortUnderTheSameTieRule) {
  for (const int distinct : {1, 3, 40, 100000}) {
    for (const std::size_t n :
         {std::size_t{1}, std::size_t{17}, std::size_t{500}, std::size_t{3000}}) {
      const std::vector<float> scores = tied_scores(n, distinct, static_cast<std::uint32_t>(n));
      const std::vector<double> exact(scores.begin(), scores.end());
      const auto end = static_cast<std::int64_t>(n);
      for (const std::int64_t begin : {std::int64_t{0}, end / 3}) {
        for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, end / 33,
                                     end / 2, end - begin - 1, end - begin, end + 5}) {
          Tokens selected;
          const std::int64_t ties = select_top(scores, {begin, end}, k, selected);
          EXPECT_EQ(selected, reference_top(exact, begin, end, k)) << n << ' ' << k;
          if (selected.empty()) {
            EXPECT_EQ(ties, 0);
            continue;
          }
          double least = HUGE_VAL;
          for (const std::int32_t j : selected) {
            least = std::min(least, exact[static_cast<std::size_t>(j)]);
          }
          EXPECT_EQ(ties, std::count(exact.begin() + begin, exact.end(), least));
        }
      }
    }
  }
}

TEST(TopkRetrieval, T30_TiesGoToTheMostRecentToken) {
  const std::vector<float> scores{5.0F, 1.0F, 1.0F, 1.0F, 1.0F, 0.0F};
  EXPECT_EQ(top(scores, {0, 6}, 3), (Tokens{0, 3, 4}));
  const std::vector<float> zeros{0.0F, -0.0F, 0.0F, -0.0F};
  EXPECT_EQ(top(zeros, {0, 4}, 2), (Tokens{2, 3}));
}

TEST(TopkRetrieval, T30_InfinitiesAndNaNHaveAPlace) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores{nan, -inf, 1.0F, inf, -nan};
  EXPECT_EQ(top(scores, {0, 5}, 1), (Tokens{3}));
  EXPECT_EQ(top(scores, {0, 5}, 3), (Tokens{1, 2, 3}));
  EXPECT_EQ(top(scores, {0, 5}, 4), (Tokens{1, 2, 3, 4}));
}

TEST(TopkRetrieval, T29_LargerBudgetsGiveSupersets) {
  const std::vector<float> scores = tied_scores(700, 30, 4);
  Tokens before;
  for (std::int64_t k = 0; k <= 690; k += 23) {
    const Tokens now = top(scores, {8, 690}, k);
    EXPECT_EQ(common_tokens(before, now), static_cast<std::int64_t>(before.size()));
    before = now;
  }
}

TEST(TopkRetrieval, T27_EligibleTokensAreNeitherSinksNorWindow) {
  for (const std::int64_t sinks : {0, 1, 8}) {
    for (const std::int64_t window : {1, 2, 64}) {
      for (const std::int64_t i :
           {std::int64_t{0}, std::int64_t{1}, sinks, window, sinks + window - 2, sinks + window - 1,
            sinks + window, sinks + window + 1, std::int64_t{1000}}) {
        if (i < 0) {
          continue;
        }
        std::set<std::int64_t> expected;
        for (std::int64_t j = 0; j <= i; ++j) {
          if (j >= sinks && i - j >= window) {
            expected.insert(j);
          }
        }
        const TokenRange range = eligible_tokens(i, sinks, window);
        ASSERT_EQ(range.size(), static_cast<std::int64_t>(expected.size()));
        if (!expected.empty()) {
          EXPECT_EQ(range.begin, *expected.begin());
          EXPECT_EQ(range.end, *expected.rbegin() + 1);
        }
        // Sinks, window and everything eligible are all tokens so far, each once.
        Tokens retrieved;
        for (const std::int64_t j : expected) {
          retrieved.push_back(static_cast<std::int32_t>(j));
        }
        Tokens tokens;
        attended_tokens(i, sinks, window, retrieved, tokens);
        ASSERT_EQ(static_cast<std::int64_t>(tokens.size()), i + 1);
        for (std::int64_t j = 0; j <= i; ++j) {
          EXPECT_EQ(tokens[static_cast<std::size_t>(j)], j);
        }
        attended_tokens(i, sinks, window, {}, tokens);
        EXPECT_EQ(static_cast<std::int64_t>(tokens.size()), i + 1 - range.size());
      }
    }
  }
}

TEST(TopkRetrieval, T27_UnionHoldsEveryHeadsTopAndNoMore) {
  const TokenRange range{8, 900};
  for (const std::size_t group : {std::size_t{1}, std::size_t{3}, std::size_t{8}}) {
    for (const std::int64_t k : {0, 1, 27, 892, 2000}) {
      std::vector<Tokens> sets(group);
      std::set<std::int32_t> expected;
      for (std::size_t g = 0; g < group; ++g) {
        const std::vector<float> scores = tied_scores(900, 50, static_cast<std::uint32_t>(g));
        select_top(scores, range, k, sets[g]);
        expected.insert(sets[g].begin(), sets[g].end());
      }
      Tokens merged{77};
      unite(sets, merged);
      EXPECT_EQ(merged, Tokens(expected.begin(), expected.end()));
      const std::int64_t clamped = std::min(k, range.size());
      const auto size = static_cast<std::int64_t>(merged.size());
      EXPECT_GE(size, clamped);
      EXPECT_LE(size, std::min(static_cast<std::int64_t>(group) * clamped, range.size()));
      for (const Tokens& set : sets) {
        EXPECT_EQ(common_tokens(set, merged), static_cast<std::int64_t>(set.size()));
      }
      if (group == 1) {
        EXPECT_EQ(merged, sets[0]);
      }
    }
  }
}

TEST(TopkRetrieval, CommonTokensCountsTheIntersection) {
  EXPECT_EQ(common_tokens(Tokens{}, Tokens{1}), 0);
  EXPECT_EQ(common_tokens(Tokens{1, 2, 3}, Tokens{1, 2, 3}), 3);
  EXPECT_EQ(common_tokens(Tokens{1, 4, 9}, Tokens{2, 4, 8, 9, 10}), 2);
  EXPECT_EQ(common_tokens(Tokens{5}, Tokens{1, 2, 3, 4}), 0);
}

TEST(TopkRetrieval, WorkCountsPassesAndSets) {
  // 2 segments of 3 query heads: 6 rows in 4 passes; 32 words a mask and 3 ties.
  static_assert(topk_retrieval_work(2, 3, 1000).bytes_read == 6 * 4 * 1000 * 4);
  static_assert(topk_retrieval_work(2, 3, 1000).bytes_written == 2 * (32 + 3) * 4);
  // 32 words a segment; 90 tokens and 2 counts.
  static_assert(list_tokens_work(2, 1000, 90).bytes_read == 2 * 32 * 4);
  static_assert(list_tokens_work(2, 1000, 90).bytes_written == 92 * 4);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
