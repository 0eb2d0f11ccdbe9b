#include "core/axis_scale.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvsieve::gui {
namespace {

TEST(AxisScale, ValuesAndPixelsCorrespond) {
  struct Case {
    AxisScale axis;
    double value;
    double pixel;
  };
  const AxisScale across{0.0, 10.0, 50.0, 250.0, false};
  const AxisScale upwards{-1.0, 1.0, 300.0, 100.0, false};
  const AxisScale log{1.0, 10000.0, 0.0, 400.0, true};
  for (const Case& one :
       {Case{across, 0.0, 50.0}, Case{across, 2.5, 100.0}, Case{across, 10.0, 250.0},
        Case{across, 12.0, 290.0}, Case{upwards, -1.0, 300.0}, Case{upwards, 0.5, 150.0},
        Case{log, 1.0, 0.0}, Case{log, 100.0, 200.0}, Case{log, 1e5, 500.0}}) {
    EXPECT_NEAR(one.axis.pixel(one.value), one.pixel, 1e-9);
    EXPECT_NEAR(one.axis.value(one.pixel), one.value, 1e-9 * (1.0 + one.value));
  }
  EXPECT_EQ(log.pixel(0.0), 0.0);
}

TEST(AxisScale, ZoomKeepsTheValueUnderTheCursor) {
  for (const bool log : {false, true}) {
    const AxisScale axis{1.0, 1000.0, 20.0, 620.0, log};
    const double value = axis.value(300.0);
    const AxisScale nearer = axis.zoomed(0.5, 300.0);
    EXPECT_NEAR(nearer.pixel(value), 300.0, 1e-9);
    EXPECT_GT(nearer.low, axis.low);
    EXPECT_LT(nearer.high, axis.high);
    const AxisScale back = nearer.zoomed(2.0, 300.0);
    EXPECT_NEAR(back.low, axis.low, 1e-9);
    EXPECT_NEAR(back.high, axis.high, 1e-6);
    EXPECT_NEAR(axis.moved(0.25).pixel(axis.value(170.0)), 20.0, 1e-9);
  }
}

TEST(AxisScale, TicksAreRoundAndWithinTheRange) {
  const AxisScale linear{-3.2, 7.9, 0.0, 100.0, false};
  EXPECT_EQ(linear.ticks(sim::Unit::kNumber, 6), (std::vector<double>{-2, 0, 2, 4, 6}));
  const AxisScale bytes{50.0, 20e6, 0.0, 100.0, true};
  const std::vector<double> ticks = bytes.ticks(sim::Unit::kBytes, 7);
  EXPECT_LE(ticks.size(), 7U);
  for (const double tick : ticks) {
    EXPECT_GE(tick, bytes.low);
    EXPECT_LE(tick, bytes.high);
  }
  EXPECT_EQ(bytes.tick_text(65536.0, sim::Unit::kBytes, 7), "64 KiB");
  EXPECT_EQ(AxisScale({0.5, 200.0, 0.0, 1.0, true}).ticks(sim::Unit::kNumber, 5),
            (std::vector<double>{1, 10, 100}));
}

TEST(AxisScale, AShortLogarithmicRangeHasTicksToo) {
  const AxisScale axis{.low = 20, .high = 70, .from = 0, .to = 100, .log = true};
  const std::vector<double> ticks = axis.ticks(sim::Unit::kNumber, 5);
  ASSERT_GE(ticks.size(), 2U);
  for (const double tick : ticks) {
    EXPECT_GE(tick, axis.low);
    EXPECT_LE(tick, axis.high);
  }
}

TEST(XyAxes, ABoxOfPixelsBecomesTheRanges) {
  const XyAxes axes{{0.0, 10.0, 50.0, 250.0, false}, {1.0, 10000.0, 400.0, 0.0, true}};
  EXPECT_EQ(axes.inside(), QRectF(50, 0, 200, 400));
  EXPECT_EQ(axes.pixel(2.5, 100.0), QPointF(100, 200));
  const XyAxes part = axes.within(QRectF(QPointF(100, 100), QPointF(150, 200)));
  EXPECT_DOUBLE_EQ(part.x.low, 2.5);
  EXPECT_DOUBLE_EQ(part.x.high, 5.0);
  EXPECT_DOUBLE_EQ(part.y.low, 100.0);
  EXPECT_DOUBLE_EQ(part.y.high, 1000.0);
  EXPECT_EQ(part.inside(), axes.inside());
  EXPECT_DOUBLE_EQ(part.y.pixel(100.0), 400.0);
}

TEST(XyAxes, RangesThatSayNothingCannotBeShown) {
  const AxisScale linear{-1.0, 1.0, 0.0, 100.0, false};
  const AxisScale log{1.0, 10.0, 0.0, 100.0, true};
  EXPECT_TRUE((XyAxes{linear, log}).can_be_shown());
  for (const AxisScale& bad :
       {AxisScale{0.0, 1.0, 0.0, 100.0, true}, AxisScale{1.0, 1.0, 0.0, 100.0, false},
        AxisScale{1.0, 1.0 + 1e-14, 0.0, 100.0, false}, AxisScale{2.0, 1.0, 0.0, 100.0, false},
        AxisScale{0.0, HUGE_VAL, 0.0, 100.0, false}}) {
    EXPECT_FALSE((XyAxes{bad, linear}).can_be_shown()) << bad.low << " to " << bad.high;
    EXPECT_FALSE((XyAxes{linear, bad}).can_be_shown()) << bad.low << " to " << bad.high;
  }
}

}  // namespace
}  // namespace kvsieve::gui
