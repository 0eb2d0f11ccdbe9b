#include "compare/case_pairs.h"

#include <gtest/gtest.h>

#include "../../traces/fails_with.h"
#include "timing_samples.h"

namespace kvsieve::sim {
namespace {

using tests::fails_with;
using tests::file_of;

TEST(CasePairs, MatchesByNameAndParameters) {
  const BenchmarkFile before = file_of({{"copy/n:64/d:8", {1}}, {"sum/n:64", {1}}});
  const BenchmarkFile after = file_of({{"copy/d:8/n:64", {2}}, {"sum/n:64", {2}}});
  const CasePairs pairs = pair_cases(before, after, "");
  ASSERT_EQ(pairs.pairs.size(), 2U);
  EXPECT_EQ(pairs.pairs[0].first->name, "copy/n:64/d:8");
  EXPECT_TRUE(pairs.added.empty());
  EXPECT_TRUE(pairs.removed.empty());
  EXPECT_TRUE(pairs.renamed.empty());
}

TEST(CasePairs, NamesWhatOneSideHas) {
  const BenchmarkFile before = file_of({{"copy/n:64", {1}}, {"scan/n:64", {1}}});
  const BenchmarkFile after = file_of({{"copy/n:64", {1}}, {"a_quite_different_thing", {1}}});
  const CasePairs pairs = pair_cases(before, after, "");
  EXPECT_EQ(pairs.added, std::vector<std::string>{"a_quite_different_thing"});
  EXPECT_EQ(pairs.removed, std::vector<std::string>{"scan/n:64"});
}

TEST(CasePairs, RenamedOperations) {
  const BenchmarkFile before =
      file_of({{"token_select/n:64", {5}}, {"token_select/n:128", {9}}, {"copy", {1}}});
  const BenchmarkFile after =
      file_of({{"token_selection/n:64", {5}}, {"token_selection/n:128", {9}}, {"copy", {1}}});
  const CasePairs pairs = pair_cases(before, after, "");
  ASSERT_EQ(pairs.renamed.size(), 2U);
  EXPECT_TRUE(pairs.added.empty());
  EXPECT_TRUE(pairs.removed.empty());
  for (const RenamedCase& one : pairs.renamed) {
    EXPECT_EQ(one.before.substr(one.before.find('/')), one.after.substr(one.after.find('/')));
  }
  EXPECT_EQ(pairs.pairs.size(), 3U);
}

TEST(CasePairs, RenamedParameters) {
  const CasePairs pairs =
      pair_cases(file_of({{"copy/tokens:64/d:8", {1}}}), file_of({{"copy/n:64/d:8", {1}}}), "");
  EXPECT_EQ(pairs.renamed.size(), 1U);
}

TEST(CasePairs, OfSimilarNamesTheClosestValuesArePaired) {
  const BenchmarkFile before = file_of({{"gather_v1", {10.0}}});
  const BenchmarkFile after = file_of({{"gather_v2", {50.0}}, {"gather_v3", {10.5}}});
  const CasePairs pairs = pair_cases(before, after, "");
  ASSERT_EQ(pairs.renamed.size(), 1U);
  EXPECT_EQ(pairs.renamed[0].after, "gather_v3");
  EXPECT_EQ(pairs.added, std::vector<std::string>{"gather_v2"});
}

TEST(CasePairs, OtherValuesOfAParameterAreAnotherCase) {
  const CasePairs pairs =
      pair_cases(file_of({{"copy/n:64", {1}}}), file_of({{"copy/n:65", {1}}}), "");
  EXPECT_TRUE(pairs.renamed.empty());
  EXPECT_EQ(pairs.added.size(), 1U);
  EXPECT_EQ(pairs.removed.size(), 1U);
}

TEST(CasePairs, FiltersByExpression) {
  const BenchmarkFile before = file_of({{"copy/n:64", {1}}, {"sum/n:64", {1}}, {"old", {1}}});
  const BenchmarkFile after = file_of({{"copy/n:64", {1}}, {"sum/n:64", {1}}});
  const CasePairs pairs = pair_cases(before, after, "^(copy|old)");
  EXPECT_EQ(pairs.pairs.size(), 1U);
  EXPECT_EQ(pairs.removed.size(), 1U);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "no regular expression",
                         [&] { static_cast<void>(pair_cases(before, after, "(")); }));
}

TEST(CasePairs, WantedMetrics) {
  EXPECT_TRUE(is_wanted("uniform/l1_loss", {"l1_loss"}));
  EXPECT_TRUE(is_wanted("uniform/l1_loss", {"uniform/l1_loss"}));
  EXPECT_FALSE(is_wanted("l1_loss_relative", {"l1_loss"}));
}

}  // namespace
}  // namespace kvsieve::sim
