#include "report/number_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace kvsieve::sim {
namespace {

TEST(NumberText, SharesArePercentWithTwoDecimals) {
  EXPECT_EQ(number_text(0.12965, Unit::kShare), "12.96%");
  EXPECT_EQ(number_text(1.0, Unit::kShare), "100.00%");
  EXPECT_EQ(number_text(0.0, Unit::kShare), "0.00%");
  EXPECT_EQ(number_text(-0.0, Unit::kShare), "0.00%");
}

TEST(NumberText, AShareThatIsNotZeroNeverReadsZero) {
  EXPECT_EQ(number_text(5e-8, Unit::kShare), "<0.01%");
  EXPECT_EQ(number_text(-5e-8, Unit::kShare), ">-0.01%");
}

TEST(NumberText, TokensAreGroupedAndMeansHaveADecimal) {
  EXPECT_EQ(number_text(0.0, Unit::kTokens), "0");
  EXPECT_EQ(number_text(401.0, Unit::kTokens), "401");
  EXPECT_EQ(number_text(2009.0, Unit::kTokens), "2,009");
  EXPECT_EQ(number_text(183.5598, Unit::kTokens), "183.6");
  EXPECT_EQ(number_text(1234.96, Unit::kTokens), "1,235.0");
  EXPECT_EQ(number_text(0.04, Unit::kTokens), "0.040");
  EXPECT_EQ(number_text(-1234.5, Unit::kTokens), "-1,234.5");
}

TEST(NumberText, BytesHaveThreeDigitsInBinaryUnits) {
  EXPECT_EQ(number_text(0.0, Unit::kBytes), "0 B");
  EXPECT_EQ(number_text(1023.0, Unit::kBytes), "1023 B");
  EXPECT_EQ(number_text(1024.0, Unit::kBytes), "1.00 KiB");
  EXPECT_EQ(number_text(691568.0, Unit::kBytes), "675 KiB");
  EXPECT_EQ(number_text(12343296.0, Unit::kBytes), "11.8 MiB");
}

TEST(NumberText, RatiosHaveASign) {
  EXPECT_EQ(number_text(0.96524, Unit::kRatio), "\u00d70.965");
  EXPECT_EQ(number_text(123.4, Unit::kRatio), "\u00d7123");
}

TEST(NumberText, PlainNumbersHaveFourDigits) {
  EXPECT_EQ(number_text(73.6774, Unit::kNumber), "73.68");
  EXPECT_EQ(number_text(2417.6, Unit::kNumber), "2,418");
  EXPECT_EQ(number_text(0.0012345, Unit::kNumber), "0.001234");
  EXPECT_EQ(number_text(1.5e-7, Unit::kNumber), "1.500e-07");
  EXPECT_EQ(number_text(8.0, Unit::kNumber), "8.000");
  EXPECT_EQ(number_text(0.0, Unit::kNumber), "0");
}

TEST(NumberText, ExtremesStayShort) {
  const double largest = std::numeric_limits<double>::max();
  for (const Unit unit : {Unit::kShare, Unit::kTokens, Unit::kBytes, Unit::kRatio, Unit::kNumber}) {
    for (const double value : {largest, -largest, std::numeric_limits<double>::denorm_min()}) {
      EXPECT_LT(number_text(value, unit).size(), 40U) << value;
      EXPECT_LT(exact_text(value, unit).size(), 40U) << value;
      EXPECT_LT(tick_text(value, value, value, unit).size(), 40U) << value;
    }
  }
}

TEST(NumberText, TicksHaveTheDecimalsOfTheirStep) {
  EXPECT_EQ(tick_text(0.2, 0.1, 0.5, Unit::kShare), "20%");
  EXPECT_EQ(tick_text(0.025, 0.005, 0.03, Unit::kShare), "2.5%");
  EXPECT_EQ(tick_text(0.0, 0.1, 0.5, Unit::kShare), "0");
  EXPECT_EQ(tick_text(1000.0, 500.0, 2000.0, Unit::kTokens), "1,000");
  EXPECT_EQ(tick_text(1.0, 0.5, 2.0, Unit::kNumber), "1.0");
  EXPECT_EQ(tick_text(512.0 * 1024.0, 256.0 * 1024.0, 1000.0 * 1024.0, Unit::kBytes), "512 KiB");
}

TEST(NumberText, CountsHaveTheirNoun) {
  EXPECT_EQ(counted(1, "layer"), "1 layer");
  EXPECT_EQ(counted(0, "layer"), "0 layers");
  EXPECT_EQ(counted(2009, "token"), "2,009 tokens");
}

}  // namespace
}  // namespace kvsieve::sim
