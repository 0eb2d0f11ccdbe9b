#include "kvsieve/sim/colour_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace kvsieve::sim {
namespace {

constexpr Colour kWhitePage{253, 253, 251};
constexpr Colour kDarkPage{20, 23, 26};

double distance(Colour a, Colour b) {
  const auto x = a.oklab();
  const auto y = b.oklab();
  return std::hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
}

TEST(ColourScale, OklabOfKnownColours) {
  const auto white = Colour{255, 255, 255}.oklab();
  EXPECT_NEAR(white[0], 1.0, 1e-4);
  EXPECT_NEAR(white[1], 0.0, 1e-4);
  const auto red = Colour{255, 0, 0}.oklab();
  EXPECT_NEAR(red[0], 0.62796, 1e-4);
  EXPECT_NEAR(red[1], 0.22486, 1e-4);
  EXPECT_NEAR(red[2], 0.12585, 1e-4);
}

TEST(ColourScale, SequentialColoursGrowLighterInEvenSteps) {
  constexpr int kSteps = 20;
  double shortest = 1.0;
  double longest = 0.0;
  for (int i = 0; i < kSteps; ++i) {
    const Colour here = sequential_colour(static_cast<double>(i) / kSteps);
    const Colour next = sequential_colour(static_cast<double>(i + 1) / kSteps);
    EXPECT_LT(here.oklab()[0], next.oklab()[0]) << i;
    shortest = std::min(shortest, distance(here, next));
    longest = std::max(longest, distance(here, next));
  }
  EXPECT_LT(longest, 1.15 * shortest);
}

TEST(ColourScale, SequentialColoursClampTheirShare) {
  EXPECT_EQ(sequential_colour(-1.0), sequential_colour(0.0));
  EXPECT_EQ(sequential_colour(2.0), sequential_colour(1.0));
}

TEST(ColourScale, CividisHasThePublishedColoursAndGrowsLighter) {
  EXPECT_EQ(cividis_colour(0.0).hex(), "#00224e");
  EXPECT_EQ(cividis_colour(100.0 / 255.0).hex(), "#656870");  // the 101st of 256
  EXPECT_EQ(cividis_colour(1.0).hex(), "#fee838");
  EXPECT_EQ(cividis_colour(-1.0), cividis_colour(0.0));
  EXPECT_EQ(cividis_colour(2.0), cividis_colour(1.0));
  for (int i = 0; i < 50; ++i) {
    EXPECT_LT(cividis_colour(i / 50.0).luminance(), cividis_colour((i + 1) / 50.0).luminance())
        << i;
  }
}

TEST(ColourScale, TextOnAnyCellReads) {
  for (int i = 0; i <= 100; ++i) {
    for (const Colour cell : {sequential_colour(i / 100.0), cividis_colour(i / 100.0)}) {
      EXPECT_GE(contrast(cell, text_colour_on(cell)), 4.5) << cell.hex();
    }
  }
}

TEST(ColourScale, DivergingColoursStandOutOnBothPages) {
  for (int i = -10; i <= 10; ++i) {
    const Colour colour = diverging_colour(i / 10.0);
    EXPECT_GE(contrast(colour, kWhitePage), 3.0) << colour.hex();
    EXPECT_GE(contrast(colour, kDarkPage), 3.0) << colour.hex();
  }
  EXPECT_LT(diverging_colour(-1.0).red, diverging_colour(-1.0).blue);
  EXPECT_GT(diverging_colour(1.0).red, diverging_colour(1.0).blue);
}

TEST(ColourScale, TerminalColoursAreTenDifferentOnes) {
  for (int i = 0; i < 9; ++i) {
    EXPECT_NE(terminal_colour(0.1 * i + 0.05), terminal_colour(0.1 * i + 0.15)) << i;
  }
  EXPECT_EQ(terminal_colour(1.0), terminal_colour(5.0));
}

TEST(ColourScale, ContrastOfBlackAndWhite) {
  EXPECT_NEAR(contrast({0, 0, 0}, {255, 255, 255}), 21.0, 1e-6);
  EXPECT_EQ((Colour{10, 106, 132}).hex(), "#0a6a84");
}

}  // namespace
}  // namespace kvsieve::sim
