#include "core/csv_text.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

TEST(CsvText, QuotesWhatNeedsIt) {
  EXPECT_EQ(csv_cell("plain text"), "plain text");
  EXPECT_EQ(csv_cell("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_cell("say \"no\""), "\"say \"\"no\"\"\"");
  EXPECT_EQ(csv_cell("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_cell(""), "");
}

TEST(CsvText, WritesNumbersInTheirShortestExactForm) {
  EXPECT_EQ(csv_number(0.1), "0.1");
  EXPECT_EQ(csv_number(1.0 / 3.0).toDouble(), 1.0 / 3.0);
  EXPECT_EQ(csv_number(12345678.0), "12345678");
  EXPECT_EQ(csv_number(std::nullopt), "");
}

}  // namespace
}  // namespace kvsieve::gui
