#include "kvsieve/sim/chart_axis.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::sim {
namespace {

constexpr double kLargest = 1e300;

double round_step(double span, int count, double factor) {
  const double rough = span / factor / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double lead = rough / power;
  const double step = lead <= 1.0 ? 1.0 : lead <= 2.0 ? 2.0 : lead <= 5.0 ? 5.0 : 10.0;
  return step * power * factor;
}

void add_ticks(Axis& axis, double first, double last) {
  // Counted, not summed, so that the last tick is not lost to rounding.
  const double tolerance = 1e-9;
  const double from = std::ceil(first / axis.step - tolerance);
  const double to = std::floor(last / axis.step + tolerance);
  for (double i = from; i <= to && axis.ticks.size() < 100; i += 1.0) {
    axis.ticks.push_back(i * axis.step);
  }
}

}  // namespace

double Axis::place(double value, double from, double to) const {
  const double share = high > low ? (value - low) / (high - low) : 0.0;
  return from + std::clamp(share, 0.0, 1.0) * (to - from);
}

Axis inner_axis(double low, double high, int count, Unit unit) {
  Axis axis;
  axis.low = std::clamp(low, -kLargest, kLargest);
  axis.high = std::clamp(high, -kLargest, kLargest);
  if (!(axis.high > axis.low)) {
    axis.high = axis.low;
    axis.step = 0.0;
    axis.ticks = {axis.low};
    return axis;
  }
  const double factor = unit == Unit::kBytes   ? byte_factor(axis.high)
                        : unit == Unit::kShare ? 0.01
                                               : 1.0;
  axis.step = round_step(axis.high - axis.low, count, factor);
  add_ticks(axis, axis.low, axis.high);
  return axis;
}

Axis round_axis(double low, double high, int count, Unit unit) {
  if (!(high > low)) {
    high = low > 0.0 ? 2.0 * low : low + 1.0;
  }
  Axis axis = inner_axis(low, high, count, unit);
  const double tolerance = 1e-9;
  axis.low = std::floor(axis.low / axis.step + tolerance) * axis.step;
  axis.high = std::ceil(axis.high / axis.step - tolerance) * axis.step;
  axis.ticks.clear();
  add_ticks(axis, axis.low, axis.high);
  return axis;
}

std::size_t label_stride(std::size_t slots, double width, double space) {
  if (slots == 0 || space <= 0.0) {
    return 1;
  }
  const double needed = static_cast<double>(slots) * width / space;
  for (const std::size_t stride : {1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 200, 500}) {
    if (static_cast<double>(stride) >= needed) {
      return stride;
    }
  }
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(needed)));
}

}  // namespace kvsieve::sim
