#include "kvsieve/sim/colour_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kvsieve::sim {
namespace {

using Lab = std::array<double, 3>;

constexpr int kSamples = 512;

double to_linear(double encoded) {
  return encoded <= 0.04045 ? encoded / 12.92 : std::pow((encoded + 0.055) / 1.055, 2.4);
}

double to_encoded(double linear) {
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1.0 / 2.4) - 0.055;
}

std::array<double, 3> linear_rgb(const Lab& lab) {
  const auto cube = [](double x) { return x * x * x; };
  const double l = cube(lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2]);
  const double m = cube(lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2]);
  const double s = cube(lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2]);
  return {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
          -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
          -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
}

bool is_displayable(const Lab& lab) {
  const auto rgb = linear_rgb(lab);
  return std::all_of(rgb.begin(), rgb.end(), [](double c) { return c >= 0.0 && c <= 1.0; });
}

Colour to_colour(const Lab& lab) {
  const auto rgb = linear_rgb(lab);
  const auto byte = [](double linear) {
    return static_cast<std::uint8_t>(std::lround(255.0 * to_encoded(std::clamp(linear, 0.0, 1.0))));
  };
  return {byte(rgb[0]), byte(rgb[1]), byte(rgb[2])};
}

/// The colour of this lightness and hue with the most chroma up to `chroma` that a screen shows.
Lab in_gamut(double lightness, double hue_degrees, double chroma) {
  const double hue = hue_degrees * std::numbers::pi / 180.0;
  const auto lab = [&](double c) { return Lab{lightness, c * std::cos(hue), c * std::sin(hue)}; };
  double low = 0.0;
  double high = chroma;
  if (is_displayable(lab(high))) {
    return lab(high);
  }
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (low + high);
    (is_displayable(lab(middle)) ? low : high) = middle;
  }
  return lab(low);
}

double distance(const Lab& a, const Lab& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/// A curve through OKLab, re-sampled so that neighbours are equally far apart.
std::array<Lab, kSamples> even_curve() {
  std::array<Lab, kSamples> curve;
  std::array<double, kSamples> length{};
  for (std::size_t i = 0; i < kSamples; ++i) {
    const double t = static_cast<double>(i) / (kSamples - 1);
    const double chroma = 0.105 + 0.06 * t;
    curve[i] = in_gamut(0.27 + 0.64 * t, 305.0 - 200.0 * t, chroma);
    length[i] = i == 0 ? 0.0 : length[i - 1] + distance(curve[i], curve[i - 1]);
  }
  std::array<Lab, kSamples> even;
  std::size_t at = 0;
  for (std::size_t i = 0; i < kSamples; ++i) {
    const double wanted = length.back() * static_cast<double>(i) / (kSamples - 1);
    while (at + 2 < kSamples && length[at + 1] < wanted) {
      ++at;
    }
    const double share =
        std::clamp((wanted - length[at]) / (length[at + 1] - length[at]), 0.0, 1.0);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      even[i][axis] = curve[at][axis] + share * (curve[at + 1][axis] - curve[at][axis]);
    }
  }
  return even;
}

/// Every fifth of the 256 colours of the published map, as 0xRRGGBB.
constexpr std::array<std::uint32_t, 52> kCividis{
    0x00224e, 0x002656, 0x002a5f, 0x002d68, 0x003070, 0x083370, 0x163770, 0x203a6f, 0x273e6e,
    0x2e416d, 0x34456c, 0x3a486c, 0x3f4c6c, 0x444f6c, 0x49536c, 0x4e566c, 0x535a6d, 0x575d6d,
    0x5c616e, 0x60646f, 0x656870, 0x696b71, 0x6d6f72, 0x727274, 0x767676, 0x7a7a78, 0x7e7d78,
    0x838179, 0x888578, 0x8d8878, 0x928c78, 0x969077, 0x9b9476, 0xa09875, 0xa59c74, 0xaaa073,
    0xafa471, 0xb5a86f, 0xbaac6d, 0xbfb06b, 0xc4b468, 0xc9b965, 0xcfbd62, 0xd4c15f, 0xdac65b,
    0xdfca57, 0xe5cf52, 0xead34c, 0xf0d846, 0xf6dd3f, 0xfce236, 0xfee838};

Lab mix(const Lab& a, const Lab& b, double share) {
  return {a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])};
}

}  // namespace

std::string Colour::hex() const {
  return fmt::format("#{:02x}{:02x}{:02x}", red, green, blue);
}

std::array<double, 3> Colour::oklab() const {
  const double r = to_linear(red / 255.0);
  const double g = to_linear(green / 255.0);
  const double b = to_linear(blue / 255.0);
  const double l = std::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const double m = std::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const double s = std::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return {0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
          1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
          0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
}

double Colour::luminance() const {
  return 0.2126 * to_linear(red / 255.0) + 0.7152 * to_linear(green / 255.0) +
         0.0722 * to_linear(blue / 255.0);
}

int terminal_colour(double share) {
  constexpr std::array<int, 10> kRamp{53, 55, 25, 31, 37, 42, 113, 149, 185, 227};
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(kRamp.size());
  return kRamp[std::min(kRamp.size() - 1, static_cast<std::size_t>(at))];
}

double contrast(Colour a, Colour b) {
  const double light = std::max(a.luminance(), b.luminance());
  const double dark = std::min(a.luminance(), b.luminance());
  return (light + 0.05) / (dark + 0.05);
}

Colour sequential_colour(double share) {
  static const std::array<Lab, kSamples> curve = even_curve();
  const double at = std::clamp(share, 0.0, 1.0) * (kSamples - 1);
  return to_colour(curve[static_cast<std::size_t>(std::lround(at))]);
}

Colour cividis_colour(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * (kCividis.size() - 1);
  const auto first = std::min(static_cast<std::size_t>(at), kCividis.size() - 2);
  const double beyond = at - static_cast<double>(first);
  const auto channel = [&](unsigned shift) {
    const double from = (kCividis[first] >> shift) & 0xffU;
    const double to = (kCividis[first + 1] >> shift) & 0xffU;
    return static_cast<std::uint8_t>(std::lround(from + beyond * (to - from)));
  };
  return {channel(16), channel(8), channel(0)};
}

Colour diverging_colour(double value) {
  static const Lab grey = in_gamut(0.62, 0.0, 0.0);
  static const Lab better = in_gamut(0.58, 220.0, 0.115);
  static const Lab worse = in_gamut(0.60, 52.0, 0.15);
  const double size = std::min(std::abs(value), 1.0);
  return to_colour(mix(grey, value < 0.0 ? better : worse, size));
}

Colour text_colour_on(Colour background) {
  constexpr Colour kBlack{0, 0, 0};
  constexpr Colour kWhite{255, 255, 255};
  return contrast(background, kBlack) >= contrast(background, kWhite) ? kBlack : kWhite;
}

}  // namespace kvsieve::sim
