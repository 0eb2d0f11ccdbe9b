#include "core/token_axis.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kvsieve::gui {
namespace {

/// Positions 100 to 200 on pixels 50 to 1050.
constexpr TokenAxis kAxis{.left = 50, .right = 1050, .low = 100, .high = 200};

TEST(TokenAxis, MapsPositionsToPixelsAndBack) {
  struct Case {
    double position;
    double x;
  };
  for (const Case& one : {Case{100, 50}, Case{200, 1050}, Case{150, 550}, Case{150.5, 555}}) {
    EXPECT_DOUBLE_EQ(kAxis.x(one.position), one.x);
    EXPECT_DOUBLE_EQ(kAxis.position(one.x), one.position);
  }
  EXPECT_DOUBLE_EQ(kAxis.pixels_per_token(), 10.0);
}

TEST(TokenAxis, ATokenHasThePixelsUpToTheNextOne) {
  EXPECT_EQ(kAxis.token_at(50, 1000), 100);
  EXPECT_EQ(kAxis.token_at(59.9, 1000), 100);
  EXPECT_EQ(kAxis.token_at(60, 1000), 101);
  EXPECT_EQ(kAxis.token_at(49, 1000), -1);
  EXPECT_EQ(kAxis.token_at(1051, 1000), -1);
  EXPECT_EQ(kAxis.token_at(560, 150), -1);  // beyond the last token
}

TEST(TokenAxis, ZoomKeepsThePositionUnderTheMouse) {
  const TokenAxis closer = kAxis.zoomed(0.5, 300, 1000);
  EXPECT_DOUBLE_EQ(closer.position(300), kAxis.position(300));
  EXPECT_DOUBLE_EQ(closer.high - closer.low, 50.0);
  const TokenAxis closest = kAxis.zoomed(1e-9, 300, 1000);
  EXPECT_DOUBLE_EQ(closest.high - closest.low, TokenAxis::kFewestTokens);
  const TokenAxis all = kAxis.zoomed(100, 300, 1000);
  EXPECT_DOUBLE_EQ(all.low, 0.0);
  EXPECT_DOUBLE_EQ(all.high, 1000.0);
}

TEST(TokenAxis, PanStopsAtTheEnds) {
  EXPECT_DOUBLE_EQ(kAxis.panned(30, 1000).low, 130.0);
  EXPECT_DOUBLE_EQ(kAxis.panned(-300, 1000).low, 0.0);
  EXPECT_DOUBLE_EQ(kAxis.panned(5000, 1000).high, 1000.0);
  EXPECT_DOUBLE_EQ(kAxis.panned(5000, 1000).low, 900.0);
}

TEST(TokenAxis, ShowsARangeAndNoFewerThanEightTokens) {
  const TokenAxis axis = kAxis.showing(500, 502, 1000);
  EXPECT_DOUBLE_EQ(axis.low, 497.0);
  EXPECT_DOUBLE_EQ(axis.high, 505.0);
  const TokenAxis tiny = kAxis.showing(0, 1, 4);
  EXPECT_DOUBLE_EQ(tiny.high, 4.0);
}

TEST(TokenAxis, APixelShowsTheLargestOfItsTokens) {
  std::vector<float> values(1000, 0.1F);
  values[777] = 5.0F;
  const TokenAxis all{.left = 0, .right = 100, .low = 0, .high = 1000};
  const std::vector<float> maxima = column_maxima(values, all, 100);
  EXPECT_EQ(maxima.size(), 100U);
  EXPECT_EQ(std::max_element(maxima.begin(), maxima.end()) - maxima.begin(), 77);
  EXPECT_FLOAT_EQ(maxima[76], 0.1F);
  // Fewer tokens than pixels: every pixel of the token shows it.
  const TokenAxis close{.left = 0, .right = 100, .low = 770, .high = 780};
  const std::vector<float> wide = column_maxima(values, close, 100);
  EXPECT_EQ(std::count(wide.begin(), wide.end(), 5.0F), 10);
  EXPECT_LT(column_maxima(values, {.left = 0, .right = 1, .low = 990, .high = 1010}, 2)[1], 0.0F);
}

TEST(TokenAxis, APixelShowsTheCoveredShareOfItsTokens) {
  const std::vector<sim::TokenRun> runs{{0, 5}, {10, 20}, {95, 100}};
  const TokenAxis axis{.left = 0, .right = 10, .low = 0, .high = 100};
  const std::vector<float> cover = column_cover(runs, axis, 10);
  EXPECT_FLOAT_EQ(cover[0], 0.5F);
  EXPECT_FLOAT_EQ(cover[1], 1.0F);
  EXPECT_FLOAT_EQ(cover[2], 0.0F);
  EXPECT_FLOAT_EQ(cover[9], 0.5F);
  const TokenAxis part{.left = 0, .right = 4, .low = 8, .high = 12};
  EXPECT_EQ(column_cover(runs, part, 4), (std::vector<float>{0.0F, 0.0F, 1.0F, 1.0F}));
}

}  // namespace
}  // namespace kvsieve::gui
