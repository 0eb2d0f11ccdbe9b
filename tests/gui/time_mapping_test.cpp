#include "core/time_mapping.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

TEST(TimeMapping, PixelsAndTimesAtThreeZooms) {
  struct Case {
    TimeMapping mapping;
    double low, half, high;  ///< times at pixel 0, the middle and the right edge
  };
  for (const Case& c : {Case{{0, 1000, 500}, 0, 500, 1000},                            // everything
                        Case{{250, 350, 1920}, 250, 300, 350},                         // a tenth
                        Case{{999.998, 999.999, 100}, 999.998, 999.9985, 999.999}}) {  // 1 ns
    const double width = c.mapping.width_px;
    EXPECT_NEAR(c.mapping.us_of(0), c.low, 1e-9);
    EXPECT_NEAR(c.mapping.us_of(width / 2), c.half, 1e-9);
    EXPECT_NEAR(c.mapping.us_of(width), c.high, 1e-9);
    EXPECT_NEAR(c.mapping.x_of(c.low), 0, 1e-6);
    EXPECT_NEAR(c.mapping.x_of(c.half), width / 2, 1e-6);
    EXPECT_NEAR(c.mapping.x_of(c.high), width, 1e-6);
  }
}

TEST(TimeMapping, TheTimeUnderTheCursorStaysWhenZooming) {
  const TimeMapping all{0, 1000, 500};
  for (const double x : {0.0, 125.0, 250.0, 500.0}) {
    for (const double factor : {0.5, 1.25, 40.0}) {
      const TimeMapping zoomed = all.zoomed(factor, x);
      EXPECT_NEAR(zoomed.us_of(x), all.us_of(x), 1e-9);
      EXPECT_NEAR(zoomed.span_us(), 1000.0 / factor, 1e-9);
    }
  }
  EXPECT_EQ(all.zoomed(2, 0), (TimeMapping{0, 500, 500}));
  EXPECT_EQ(all.zoomed(2, 500), (TimeMapping{500, 1000, 500}));
}

TEST(TimeMapping, PanningMovesByPixels) {
  const TimeMapping mapping{100, 200, 500};
  EXPECT_EQ(mapping.panned(50), (TimeMapping{110, 210, 500}));
  EXPECT_EQ(mapping.panned(-500), (TimeMapping{0, 100, 500}));
}

TEST(TimeMapping, StaysWithinTheTimeThereIs) {
  const double total = 1000;
  EXPECT_EQ((TimeMapping{-50, 50, 100}.clamped(total)), (TimeMapping{0, 100, 100}));
  EXPECT_EQ((TimeMapping{950, 1050, 100}.clamped(total)), (TimeMapping{900, 1000, 100}));
  EXPECT_EQ((TimeMapping{-500, 3000, 100}.clamped(total)), (TimeMapping{0, 1000, 100}));
  EXPECT_EQ((TimeMapping{10, 20, 100}.clamped(total)), (TimeMapping{10, 20, 100}));
  const TimeMapping deepest = TimeMapping{500, 500 + 1e-7, 100}.clamped(total);
  EXPECT_NEAR(deepest.span_us(), kLeastSpanUs, 1e-9);
  EXPECT_NEAR(deepest.us_of(50), 500, 1e-6);
  EXPECT_GT((TimeMapping{0, 0, 100}.clamped(0).span_us()), 0.0);  // nothing happens
}

TEST(TimeMapping, FocusLeavesAMarginWhereThereIsTime) {
  const TimeMapping all{0, 1000, 100};
  EXPECT_EQ(all.focused(400, 500, 1000), (TimeMapping{390, 510, 100}));
  EXPECT_EQ(all.focused(0, 100, 1000), (TimeMapping{0, 110, 100}));
  EXPECT_EQ(all.focused(900, 1000, 1000), (TimeMapping{890, 1000, 100}));
  const TimeMapping instant = all.focused(500, 500, 1000);
  EXPECT_LE(instant.low_us, 500);
  EXPECT_GT(instant.high_us, 500);
}

TEST(TimeAxis, TicksAreRoundNumbersInTheUnitThatFits) {
  struct Case {
    TimeMapping mapping;
    const char* unit;
    const char* first;
    const char* second;
    std::size_t ticks;
  };
  for (const Case& c :
       {Case{{0, 1000, 1000}, "ms", "0.0", "0.1", 11}, Case{{0, 0.5, 1000}, "ns", "0", "50", 11},
        Case{{3, 48, 450}, "µs", "10", "20", 4},
        Case{{20'000, 20'010, 1000}, "ms", "20.000", "20.001", 11},
        Case{{0, 4e6, 400}, "s", "0", "1", 5}}) {
    const TimeAxis axis = time_axis(c.mapping, 80);
    EXPECT_EQ(axis.unit, QString::fromUtf8(c.unit));
    ASSERT_EQ(axis.ticks.size(), c.ticks) << c.unit;
    EXPECT_EQ(axis.ticks[0].label, c.first);
    EXPECT_EQ(axis.ticks[1].label, c.second);
    for (std::size_t i = 1; i < axis.ticks.size(); ++i) {
      EXPECT_GE(c.mapping.x_of(axis.ticks[i].us) - c.mapping.x_of(axis.ticks[i - 1].us), 79.9);
    }
  }
}

TEST(TimeText, ScalesItsUnit) {
  EXPECT_EQ(time_text(0), QStringLiteral("0 µs"));
  EXPECT_EQ(time_text(0.0123), QStringLiteral("12.30 ns"));
  EXPECT_EQ(time_text(12.97), QStringLiteral("12.97 µs"));
  EXPECT_EQ(time_text(1204.4), QStringLiteral("1.204 ms"));
  EXPECT_EQ(time_text(2.5e6), QStringLiteral("2.500 s"));
  EXPECT_EQ(exact_time_text(1204.3719), QStringLiteral("1204.37 µs"));
}

}  // namespace
}  // namespace kvsieve::gui
