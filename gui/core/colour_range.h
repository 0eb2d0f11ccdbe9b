#pragma once
// From values to places on a colour scale, and back for its legend.

#include <optional>
#include <vector>

#include "kvsieve/sim/chart.h"

namespace kvsieve::gui {

/// What the middle of a scale means.
enum class ColourCentre {
  kNone,  ///< a sequential scale from the lowest to the highest value
  kZero,  ///< differences: both sides have the same size
  kOne,   ///< factors: a half and a double are equally far away
};

struct ColourRange {
  double low = 0.0;
  double high = 1.0;
  ColourCentre centre = ColourCentre::kNone;
  bool log = false;         ///< of sequential scales
  bool clips_low = false;   ///< some value lies below `low`
  bool clips_high = false;  ///< some value lies above `high`

  /// Place of a value: [0, 1] on a sequential scale, [-1, 1] around a centre; clamped.
  [[nodiscard]] double place(double value) const;
  /// The value at a place.
  [[nodiscard]] double value_at(double place) const;
};

/// The range of all values in `sets`, which share it.
/// @param clip share of the values that may lie beyond each end, [0, 0.5)
/// @param log asks for a logarithmic scale, which needs values above zero: its low end is the least
/// of those
[[nodiscard]] ColourRange colour_range(const std::vector<const sim::Values*>& sets,
                                       ColourCentre centre, double clip, bool log);

}  // namespace kvsieve::gui
