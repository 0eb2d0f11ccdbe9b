#pragma once
// Colours that carry numbers. The scales of our own are laid out in OKLab, a space in which equal
// distances look equally different (B. Ottosson, 2020).

#include <array>
#include <cstdint>
#include <string>

namespace kvsieve::sim {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;

  /// "#0a6a84".
  [[nodiscard]] std::string hex() const;
  /// Lightness, green-red and blue-yellow coordinates.
  [[nodiscard]] std::array<double, 3> oklab() const;
  /// Relative luminance as WCAG 2 defines it, in [0, 1].
  [[nodiscard]] double luminance() const;

  bool operator==(const Colour&) const = default;
};

/// WCAG 2 contrast, 1 to 21.
[[nodiscard]] double contrast(Colour a, Colour b);

/// Dark violet over green to light yellow, rising evenly in lightness; `share` is clamped to
/// [0, 1].
[[nodiscard]] Colour sequential_colour(double share);

/// cividis (J. Nuñez, C. Anderton, R. Renslow, 2018): dark blue over grey to yellow, alike for
/// readers with and without red-green blindness; `share` is clamped to [0, 1].
[[nodiscard]] Colour cividis_colour(double share);

/// sequential_colour in ten steps of a terminal's 256 colours, as an index.
[[nodiscard]] int terminal_colour(double share);

/// -1 the accent (better), 0 grey, 1 the warm colour (worse). All have a contrast of 3 or more to
/// both a white and a near-black page.
[[nodiscard]] Colour diverging_colour(double value);

/// Black or white, whichever reads better on `background`; always a contrast of 4.5 or more.
[[nodiscard]] Colour text_colour_on(Colour background);

}  // namespace kvsieve::sim
