#include "kvsieve/sim/number_text.h"

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

TEST(NumberText, TimesHaveThreeDigitsInTheirUnit) {
  EXPECT_EQ(number_text(0.0, Unit::kMicroseconds), "0.00 us");
  EXPECT_EQ(number_text(0.0042, Unit::kMicroseconds), "0.00420 us");
  EXPECT_EQ(number_text(7.25, Unit::kMicroseconds), "7.25 us");
  EXPECT_EQ(number_text(463.17, Unit::kMicroseconds), "463 us");
  EXPECT_EQ(number_text(999.6, Unit::kMicroseconds), "1.00 ms");
  EXPECT_EQ(number_text(3204.9, Unit::kMicroseconds), "3.20 ms");
  EXPECT_EQ(number_text(2.5e6, Unit::kMicroseconds), "2.50 s");
  EXPECT_EQ(exact_text(3204.91, Unit::kMicroseconds), "3204.91 us");
  EXPECT_EQ(exact_text(320.491, Unit::kMicroseconds), "320.491 us");
  EXPECT_EQ(tick_text(1500.0, 500.0, 3000.0, Unit::kMicroseconds), "1.5 ms");
  EXPECT_EQ(tick_text(200.0, 100.0, 400.0, Unit::kMicroseconds), "200 us");
}

TEST(NumberText, RatesAreDecimal) {
  EXPECT_EQ(number_text(24.138, Unit::kGbps), "24.1 GB/s");
  EXPECT_EQ(number_text(0.0731, Unit::kGbps), "0.07 GB/s");
  EXPECT_EQ(number_text(0.0021, Unit::kGbps), "0.00210 GB/s");
  EXPECT_EQ(exact_text(24.1384, Unit::kGbps), "24.1384 GB/s");
  EXPECT_EQ(tick_text(10.0, 5.0, 30.0, Unit::kGbps), "10 GB/s");
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
  for (const Unit unit : {Unit::kShare, Unit::kTokens, Unit::kBytes, Unit::kRatio,
                          Unit::kMicroseconds, Unit::kGbps, Unit::kNumber}) {
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
  EXPECT_EQ(tick_text(0.75, 0.25, 1.5, Unit::kNumber), "0.75");
  EXPECT_EQ(tick_text(2.5, 2.5, 10.0, Unit::kNumber), "2.5");
  EXPECT_EQ(tick_text(512.0 * 1024.0, 256.0 * 1024.0, 1000.0 * 1024.0, Unit::kBytes), "512 KiB");
}

TEST(NumberText, CountsHaveTheirNoun) {
  EXPECT_EQ(counted(1, "layer"), "1 layer");
  EXPECT_EQ(counted(0, "layer"), "0 layers");
  EXPECT_EQ(counted(2009, "token"), "2,009 tokens");
}

}  // namespace
}  // namespace kvsieve::sim
