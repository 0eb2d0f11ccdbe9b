#include "widgets/theme.h"

#include <array>

namespace kvsieve::gui {
namespace {

/// Okabe and Ito's set without black and yellow, which vanish on one of the two grounds; darkened
/// or lightened until a line stands out from its ground.
constexpr std::array<sim::Colour, 8> kOnLight{{{0, 95, 150},
                                               {200, 85, 0},
                                               {0, 120, 85},
                                               {165, 75, 130},
                                               {60, 130, 180},
                                               {130, 100, 0},
                                               {90, 90, 90},
                                               {150, 30, 30}}};
constexpr std::array<sim::Colour, 8> kOnDark{{{86, 180, 233},
                                              {255, 160, 60},
                                              {0, 190, 140},
                                              {225, 145, 195},
                                              {120, 150, 255},
                                              {225, 195, 70},
                                              {180, 180, 180},
                                              {255, 120, 110}}};

QColor mix(const QColor& a, const QColor& b, double share) {
  const auto between = [share](int from, int to) {
    return static_cast<int>(from + (to - from) * share + 0.5);
  };
  return {between(a.red(), b.red()), between(a.green(), b.green()), between(a.blue(), b.blue())};
}

}  // namespace

bool is_dark(const QPalette& palette) {
  return to_colour(palette.color(QPalette::Base)).luminance() <
         to_colour(palette.color(QPalette::Text)).luminance();
}

QColor ink(sim::Ink ink, const QPalette& palette) {
  switch (ink) {
    case sim::Ink::kAccent:
      return category_colour(0, palette);
    case sim::Ink::kGrey:
      return category_colour(6, palette);
    case sim::Ink::kWarm:
      return category_colour(1, palette);
    case sim::Ink::kPale:
      return category_colour(4, palette);
    case sim::Ink::kSand:
      return category_colour(5, palette);
  }
  return palette.color(QPalette::Text);
}

QColor category_colour(std::size_t index, const QPalette& palette) {
  const auto& colours = is_dark(palette) ? kOnDark : kOnLight;
  return to_qcolor(colours[index % colours.size()]);
}

QColor faint_text(const QPalette& palette) {
  // As faint as it may be on this palette.
  const QColor text = palette.color(QPalette::WindowText);
  const QColor ground = palette.color(QPalette::Window);
  constexpr double kContrast = 4.5;
  for (const double share : {0.45, 0.4, 0.35, 0.3, 0.2, 0.1}) {
    const QColor faint = mix(text, ground, share);
    if (sim::contrast(to_colour(faint), to_colour(ground)) >= kContrast) {
      return faint;
    }
  }
  return text;
}

QColor grid_line(const QPalette& palette) {
  return mix(palette.color(QPalette::Base), palette.color(QPalette::Text), 0.15);
}

sim::Colour to_colour(const QColor& colour) {
  return {static_cast<std::uint8_t>(colour.red()), static_cast<std::uint8_t>(colour.green()),
          static_cast<std::uint8_t>(colour.blue())};
}

}  // namespace kvsieve::gui
