#pragma once
// Time along a horizontal axis: which pixel is which time, zooming, panning, and where ticks stand.

#include <QString>
#include <string>
#include <vector>

namespace kvsieve::gui {

/// Times [low_us, high_us) over [0, width_px) pixels.
struct TimeMapping {
  double low_us = 0.0;
  double high_us = 1.0;
  double width_px = 1.0;

  [[nodiscard]] double span_us() const noexcept { return high_us - low_us; }
  [[nodiscard]] double px_per_us() const noexcept { return width_px / span_us(); }
  [[nodiscard]] double x_of(double us) const noexcept { return (us - low_us) * px_per_us(); }
  [[nodiscard]] double us_of(double x) const noexcept { return low_us + x / px_per_us(); }

  /// Shows 1 / factor of the time; the time at pixel `x` stays where it is.
  [[nodiscard]] TimeMapping zoomed(double factor, double x) const noexcept;
  /// Moves the content `px` pixels to the left: later times come into view.
  [[nodiscard]] TimeMapping panned(double px) const noexcept;
  /// Within [0, total_us], showing no less than kLeastSpanUs: moved if that suffices, cut if not.
  [[nodiscard]] TimeMapping clamped(double total_us) const noexcept;
  /// `begin_us` to `end_us` with a margin at both sides, clamped.
  [[nodiscard]] TimeMapping focused(double begin_us, double end_us, double total_us) const noexcept;

  bool operator==(const TimeMapping&) const = default;
};

/// The deepest zoom, 1 ns.
inline constexpr double kLeastSpanUs = 1e-3;

/// A tick and its label without the unit.
struct TimeTick {
  double us = 0.0;
  std::string label;
};

/// Ticks at 1, 2 or 5 times a power of ten, at least `least_px` apart.
struct TimeAxis {
  std::vector<TimeTick> ticks;
  QString unit;  ///< ns, µs, ms, s: of the labels
};
[[nodiscard]] TimeAxis time_axis(const TimeMapping& mapping, double least_px);

/// "12.97 µs", "1.204 ms": four significant digits in the unit that fits.
[[nodiscard]] QString time_text(double us);
/// "1204.37 µs": six significant digits, always in µs, for a reader who points at a mark.
[[nodiscard]] QString exact_time_text(double us);

}  // namespace kvsieve::gui
