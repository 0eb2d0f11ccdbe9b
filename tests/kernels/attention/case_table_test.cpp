#include "kernels/attention/case_table.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace kvsieve::kernels::tests {
namespace {

TEST(CaseTable, PairwiseRowsHoldEveryPair) {
  const std::size_t levels[] = {5, 3, 4, 2};
  std::set<std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>> pairs;
  const auto rows = pairwise(levels);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < 4; ++i) {
      ASSERT_LT(row[i], levels[i]);
      for (std::size_t j = i + 1; j < 4; ++j) {
        pairs.emplace(i, row[i], j, row[j]);
      }
    }
  }
  EXPECT_EQ(pairs.size(), 5U * (3 + 4 + 2) + 3 * (4 + 2) + 4 * 2);
  EXPECT_LE(rows.size(), 30U);
}

TEST(CaseTable, AtMost150CasesAnOperation) {
  EXPECT_LE(attention_cases().size(), 150U);
}

TEST(CaseTable, NamesAreUnique) {
  std::set<std::string> names;
  for (const AttentionCase& item : attention_cases()) {
    EXPECT_TRUE(names.insert(item.name()).second) << item.name();
  }
}

}  // namespace
}  // namespace kvsieve::kernels::tests
