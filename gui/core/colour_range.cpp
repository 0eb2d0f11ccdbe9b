#include "core/colour_range.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::gui {
namespace {

double at_share(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::lround(share * last))];
}

/// 1 if there is none.
double least_above_zero(const std::vector<double>& sorted) {
  const auto found = std::upper_bound(sorted.begin(), sorted.end(), 0.0);
  return found == sorted.end() ? 1.0 : *found;
}

}  // namespace

double ColourRange::place(double value) const {
  if (centre == ColourCentre::kOne) {
    return value > 0.0 && high > 1.0 ? std::clamp(std::log(value) / std::log(high), -1.0, 1.0)
           : value > 0.0             ? 0.0
                                     : -1.0;
  }
  if (centre == ColourCentre::kZero) {
    return high > 0.0 ? std::clamp(value / high, -1.0, 1.0) : 0.0;
  }
  if (high <= low) {
    return 0.5;
  }
  if (log) {
    return value > 0.0 ? std::clamp(std::log(value / low) / std::log(high / low), 0.0, 1.0) : 0.0;
  }
  return std::clamp((value - low) / (high - low), 0.0, 1.0);
}

double ColourRange::value_at(double place) const {
  switch (centre) {
    case ColourCentre::kOne:
      return std::pow(high, place);
    case ColourCentre::kZero:
      return high * place;
    case ColourCentre::kNone:
      break;
  }
  return log && high > low ? low * std::pow(high / low, place) : low + place * (high - low);
}

ColourRange colour_range(const std::vector<const sim::Values*>& sets, ColourCentre centre,
                         double clip, bool log) {
  std::vector<double> sorted;
  for (const sim::Values* values : sets) {
    for (const std::optional<double>& value : *values) {
      if (value && std::isfinite(*value)) {
        sorted.push_back(*value);
      }
    }
  }
  ColourRange range;
  range.centre = centre;
  if (sorted.empty()) {
    return range;
  }
  std::sort(sorted.begin(), sorted.end());
  range.low = at_share(sorted, clip);
  range.high = at_share(sorted, 1.0 - clip);
  switch (centre) {
    case ColourCentre::kNone:
      if (log && range.high > 0.0) {
        range.log = true;
        if (range.low <= 0.0) {
          range.low = least_above_zero(sorted);
        }
      }
      break;
    case ColourCentre::kZero:
      range.high = std::max(std::abs(range.low), std::abs(range.high));
      range.low = -range.high;
      break;
    case ColourCentre::kOne: {
      const double below = range.low > 0.0 ? range.low : least_above_zero(sorted);
      range.high = std::max({range.high, 1.0, 1.0 / below});
      range.low = 1.0 / range.high;
      break;
    }
  }
  range.clips_low = sorted.front() < range.low;
  range.clips_high = sorted.back() > range.high;
  return range;
}

}  // namespace kvsieve::gui
