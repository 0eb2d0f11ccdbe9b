#include "compare/line_changes.h"

#include <gtest/gtest.h>

namespace kvsieve::sim {
namespace {

SourceCounts line(std::int64_t number, double sectors, double instructions = 32) {
  return {"gather.cuh", number, {{"sectors", sectors}, {"instructions", instructions}}};
}

TEST(LineChanges, NamesTheLineThatChanged) {
  const std::vector<SourceCounts> before{line(10, 4), line(11, 8), line(20, 16)};
  const std::vector<SourceCounts> after{line(10, 4), line(11, 64), line(20, 16)};
  const auto changes = line_changes(pair_lines(before, after), "sectors", 5);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].line, 11);
  EXPECT_EQ(changes[0].before, 8);
  EXPECT_EQ(changes[0].after, 64);
}

TEST(LineChanges, FollowsLinesThatAnEditMoved) {
  // Seven lines were put in above, and the access at old line 11 became strided.
  const std::vector<SourceCounts> before{line(10, 4), line(11, 8), line(20, 16), line(30, 2)};
  const std::vector<SourceCounts> after{line(17, 4), line(18, 64), line(27, 16), line(37, 2)};
  const auto changes = line_changes(pair_lines(before, after), "sectors", 5);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].line, 18);
  EXPECT_EQ(changes[0].before, 8);
}

TEST(LineChanges, LinesOfOneSideCountFromZero) {
  const std::vector<SourceCounts> before{line(10, 4), line(11, 8)};
  const std::vector<SourceCounts> after{line(10, 4)};
  const auto gone = line_changes(pair_lines(before, after), "sectors", 5);
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].line, 11);
  EXPECT_EQ(gone[0].after, 0);
  const auto come = line_changes(pair_lines({}, after), "sectors", 5);
  ASSERT_EQ(come.size(), 1U);
  EXPECT_EQ(come[0].before, 0);
}

TEST(LineChanges, TheLargestFirstAndNoMoreThanAsked) {
  const std::vector<SourceCounts> before{line(1, 1), line(2, 2), line(3, 3)};
  const std::vector<SourceCounts> after{line(1, 2, 1), line(2, 9, 2), line(3, 1, 3)};
  const auto changes = line_changes(pair_lines(before, after), "sectors", 2);
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].line, 2);
  EXPECT_EQ(changes[1].line, 3);
}

}  // namespace
}  // namespace kvsieve::sim
