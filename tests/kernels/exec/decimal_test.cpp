#include "kvsieve/kernels/decimal.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "traces/fails_with.h"

namespace kvsieve::kernels {
namespace {

using kvsieve::tests::fails_with;

TEST(Decimal, ParsesNumbersAndPercentages) {
  const struct {
    const char* text;
    std::int64_t units;
    std::int64_t scale;
  } cases[] = {
      {"0", 0, 1},
      {"0.0", 0, 1},
      {"0%", 0, 1},
      {"1", 1, 1},
      {"1.", 1, 1},
      {"1.000", 1, 1},
      {"100%", 1, 1},
      {"0.2", 2, 10},
      {".05", 5, 100},
      {"20", 20, 1},
      {"20%", 2, 10},
      {"29%", 29, 100},
      {"12.5%", 125, 1000},
      {"0.20", 2, 10},
      {"007", 7, 1},
      {"150%", 15, 10},
      {"0.0000001%", 1, 1'000'000'000},
      {"0.123456789", 123'456'789, 1'000'000'000},
  };
  for (const auto& item : cases) {
    const Decimal parsed = Decimal::parse(item.text);
    EXPECT_EQ(parsed.units, item.units) << item.text;
    EXPECT_EQ(parsed.scale, item.scale) << item.text;
  }
}

TEST(Decimal, RejectsWhatIsNotADecimal) {
  for (const std::string text : {"",
                                 "-1",
                                 "-0.5",
                                 "+1",
                                 "1e3",
                                 "1.2.3",
                                 ".",
                                 "%",
                                 ".%",
                                 "..5",
                                 "0x10",
                                 " 1",
                                 "1 ",
                                 "1,5",
                                 "20%%",
                                 "%20",
                                 "2%0",
                                 "nan",
                                 "inf",
                                 "0.1234567891",
                                 "0.00000001%",
                                 "99999999999999999999999999",
                                 "1.00000000000000000000000000"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "'" + text + "'", [&] {
      static_cast<void>(Decimal::parse(text));
    })) << text;
  }
}

TEST(Decimal, FloorTimesIsExact) {
  // In binary floating point 0.29 * 100 is 28.999999999999996.
  EXPECT_EQ(Decimal::parse("29%").floor_times(100), 29);
  EXPECT_EQ(Decimal::parse("0.29").floor_times(99), 28);
  EXPECT_EQ(Decimal::parse("20%").floor_times(4), 0);
  EXPECT_EQ(Decimal::parse("20%").floor_times(5), 1);
  EXPECT_EQ(Decimal::parse("0.3").floor_times(10), 3);
  EXPECT_EQ(Decimal::parse("1").floor_times(4097), 4097);
  EXPECT_EQ(Decimal::parse("0").floor_times(4097), 0);
  EXPECT_EQ(Decimal::parse("0.5").floor_times(0), 0);
  EXPECT_EQ(Decimal::parse("0.999999999").floor_times(1'000'000'000), 999'999'999);
}

TEST(Decimal, FloorTimesAgreesWithIntegerDivisionForEveryPercentage) {
  for (std::int64_t percent = 0; percent <= 100; ++percent) {
    const Decimal share = Decimal::parse(std::to_string(percent) + "%");
    for (const std::int64_t n : {1, 7, 31, 32, 33, 100, 257, 1023, 4097, 131'072}) {
      EXPECT_EQ(share.floor_times(n), percent * n / 100) << percent << "% of " << n;
    }
  }
}

TEST(Decimal, FloorTimesRejectsOverflow) {
  const Decimal almost_one = Decimal::parse("0.999999999");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "0.999999999", [&] {
    static_cast<void>(almost_one.floor_times(std::numeric_limits<std::int64_t>::max()));
  }));
}

TEST(Decimal, TextReadsBack) {
  EXPECT_EQ(Decimal::parse("20%").text(), "0.2");
  EXPECT_EQ(Decimal::parse(".05").text(), "0.05");
  EXPECT_EQ(Decimal::parse("150%").text(), "1.5");
  EXPECT_EQ(Decimal::parse("0.000000001").text(), "0.000000001");
  EXPECT_EQ(Decimal::parse("100%").text(), "1");
  EXPECT_EQ(Decimal::parse("0").text(), "0");
  for (std::int64_t thousandths = 0; thousandths <= 2000; ++thousandths) {
    const Decimal value = Decimal::parse(std::to_string(thousandths) + "%");
    const Decimal again = Decimal::parse(value.text());
    EXPECT_EQ(again.units, value.units);
    EXPECT_EQ(again.scale, value.scale);
    EXPECT_DOUBLE_EQ(value.value(), static_cast<double>(thousandths) / 100.0);
  }
}

}  // namespace
}  // namespace kvsieve::kernels
