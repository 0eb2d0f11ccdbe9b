#include "compare/case_name.h"

#include <gtest/gtest.h>

namespace kvsieve::sim {
namespace {

TEST(CaseName, OrderOfParametersDoesNotMatter) {
  EXPECT_EQ(parse_case_name("copy/n:64/d:8").key(), parse_case_name("copy/d:8/n:64").key());
  EXPECT_NE(parse_case_name("copy/n:64/d:8").key(), parse_case_name("copy/n:8/d:64").key());
  EXPECT_NE(parse_case_name("copy/64/8").key(), parse_case_name("copy/8/64").key());
}

TEST(CaseName, PartsOfAName) {
  const CaseName name = parse_case_name("group/BM_sort<std::vector<int>, a/b>/64/n:8/real_time");
  EXPECT_EQ(name.operation, "group/BM_sort<std::vector<int>, a/b>");
  EXPECT_EQ(name.positional, (std::vector<std::string>{"64", "real_time"}));
  ASSERT_EQ(name.parameters.size(), 1U);
  EXPECT_EQ(name.parameters[0].second, "8");
  EXPECT_EQ(parse_case_name("std::sort").operation, "std::sort");
}

TEST(CaseName, HowItWasMeasuredIsNoPartOfIt) {
  EXPECT_EQ(parse_case_name("copy/n:64/min_time:0.500/repeats:10").key(), "copy/n:64");
  EXPECT_EQ(parse_case_name("copy/n:64/iterations:7/threads:2").key(), "copy/n:64/threads:2");
}

TEST(CaseName, OddNamesAreTheirOwnKey) {
  for (const char* name : {"", "a//b", ":", "a:", ">/<", "12", "a/"}) {
    EXPECT_EQ(parse_case_name(name).key(), name);
  }
}

}  // namespace
}  // namespace kvsieve::sim
