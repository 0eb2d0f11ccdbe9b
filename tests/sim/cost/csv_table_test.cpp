#include "cost/csv_table.h"

#include <gtest/gtest.h>

#include "traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::fails_with;

void expect_bad(std::string_view text, std::string_view message) {
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, message, [&] {
    static_cast<void>(parse_csv(text, "rows.csv"));
  })) << text;
}

TEST(CsvTable, ReadsPlainCells) {
  const CsvTable table = parse_csv("a,b\n1,2\n3,4\n", "rows.csv");
  EXPECT_EQ(table.header, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(table.records.size(), 2U);
  EXPECT_EQ(table.records[1].cells, (std::vector<std::string>{"3", "4"}));
  EXPECT_EQ(table.records[1].line, 3);
  EXPECT_EQ(table.column("b"), 1U);
  EXPECT_FALSE(table.column("c"));
}

TEST(CsvTable, LineEndsAndTheByteOrderMarkDoNotMatter) {
  for (const char* text : {"a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n",
                           "\xef\xbb\xbf"
                           "a,b\n1,2\n3,4\n",
                           "\n\na,b\r\n1,2\n\n\n3,4\n\n", "a , b\n1,2 \n 3,4\n"}) {
    const CsvTable table = parse_csv(text, "rows.csv");
    EXPECT_EQ(table.header, (std::vector<std::string>{"a", "b"})) << text;
    ASSERT_EQ(table.records.size(), 2U) << text;
    EXPECT_EQ(table.records[0].cells, (std::vector<std::string>{"1", "2"})) << text;
    EXPECT_EQ(table.records[1].cells, (std::vector<std::string>{"3", "4"})) << text;
  }
}

TEST(CsvTable, QuotedCellsHoldCommasQuotesAndLineEnds) {
  const CsvTable table = parse_csv("a,b\n\"x,\"\"y\"\"\",\"one\r\ntwo\"\n\"\",z\n", "rows.csv");
  ASSERT_EQ(table.records.size(), 2U);
  EXPECT_EQ(table.records[0].cells, (std::vector<std::string>{"x,\"y\"", "one\r\ntwo"}));
  EXPECT_EQ(table.records[1].cells, (std::vector<std::string>{"", "z"}));
  EXPECT_EQ(table.records[1].line, 4);
}

TEST(CsvTable, EmptyCellsCount) {
  const CsvTable table = parse_csv("a,b,c\n,,\n1,,3\n", "rows.csv");
  ASSERT_EQ(table.records.size(), 2U);
  EXPECT_EQ(table.records[0].cells, (std::vector<std::string>{"", "", ""}));
}

TEST(CsvTable, ErrorsNamePathAndLine) {
  expect_bad("", "rows.csv:1: no header");
  expect_bad("\n\n", "no header");
  expect_bad("a,b\n1\n", "rows.csv:2: 1 cells, expected 2");
  expect_bad("a,b\n1,2\n1,2,3\n", "rows.csv:3: 3 cells, expected 2");
  expect_bad("a,a\n1,2\n", "rows.csv:1: two columns 'a'");
  expect_bad("a,b\n1,2\"3\n", "rows.csv:2: a quote within a cell");
  expect_bad("a,b\n\"1\"2,3\n", "rows.csv:2: text after a closing quote");
  expect_bad("a,b\n1,2\n\"1,2\n3,4\n", "rows.csv:3: a quote that is not closed");
}

}  // namespace
}  // namespace kvsieve::sim
