#pragma once
// Where values of an axis stand on the screen, and back.

#include <QRectF>
#include <vector>

#include "kvsieve/sim/number_text.h"

namespace kvsieve::gui {

/// [low, high] drawn from pixel `from` to pixel `to`, which may be smaller: y runs upwards.
struct AxisScale {
  double low = 0.0;
  double high = 1.0;
  double from = 0.0;
  double to = 1.0;
  bool log = false;  ///< low is above 0 then

  /// Linear beyond the ends; a value of 0 or less on a logarithmic axis stands at `from`.
  [[nodiscard]] double pixel(double value) const;
  [[nodiscard]] double value(double pixel) const;
  /// This axis with `factor` times its range, the value at `pixel` where it was.
  [[nodiscard]] AxisScale zoomed(double factor, double pixel) const;
  /// This axis moved by a share of its length.
  [[nodiscard]] AxisScale moved(double share) const;
  /// About `count` round values within the range. On a logarithmic axis powers of ten, of bytes
  /// powers of two; where the range holds fewer than two of them, values between.
  [[nodiscard]] std::vector<double> ticks(sim::Unit unit, int count) const;
  [[nodiscard]] std::string tick_text(double tick, sim::Unit unit, int count) const;
};

/// Both axes of a plot.
struct XyAxes {
  AxisScale x;
  AxisScale y;

  [[nodiscard]] QPointF pixel(double at_x, double at_y) const {
    return {x.pixel(at_x), y.pixel(at_y)};
  }
  /// Between the axes.
  [[nodiscard]] QRectF inside() const { return {QPointF(x.from, y.to), QPointF(x.to, y.from)}; }
  /// The same pixels with the values that lie in a box of them.
  [[nodiscard]] XyAxes within(const QRectF& box) const;
  /// Whether ranges are finite, above 0 on logarithmic axes, and wide enough to tell values apart.
  [[nodiscard]] bool can_be_shown() const;
};

}  // namespace kvsieve::gui
