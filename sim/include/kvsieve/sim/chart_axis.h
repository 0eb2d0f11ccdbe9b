#pragma once
// Axes with round ticks.

#include <vector>

#include "kvsieve/sim/number_text.h"

namespace kvsieve::sim {

struct Axis {
  double low = 0.0;
  double high = 1.0;
  double step = 1.0;  ///< between ticks
  std::vector<double> ticks;

  /// Where `value` stands between `from` (low) and `to` (high), clamped.
  [[nodiscard]] double place(double value, double from, double to) const;
};

/// An axis that covers [low, high] and ends at ticks, about `count` of them, at multiples of 1, 2
/// or 5; bytes have such multiples in their binary unit.
[[nodiscard]] Axis round_axis(double low, double high, int count, Unit unit);

/// Ticks within [low, high] without widening it, for scales whose ends carry meaning.
[[nodiscard]] Axis inner_axis(double low, double high, int count, Unit unit);

/// Every how many labels of `width` each fit if `slots` of them share `space`; at least 1.
[[nodiscard]] std::size_t label_stride(std::size_t slots, double width, double space);

}  // namespace kvsieve::sim
