#include "core/axis_scale.h"

#include <algorithm>
#include <cmath>

#include "kvsieve/sim/chart_axis.h"

namespace kvsieve::gui {
namespace {

bool can_be_shown(const AxisScale& axis) {
  constexpr double kLeastShare = 1e-12;
  return std::isfinite(axis.low) && std::isfinite(axis.high) &&
         axis.high - axis.low > kLeastShare * std::abs(axis.high) && !(axis.log && axis.low <= 0.0);
}

}  // namespace

double AxisScale::pixel(double value) const {
  if (log) {
    return value <= 0.0 ? from : from + std::log(value / low) / std::log(high / low) * (to - from);
  }
  return from + (value - low) / (high - low) * (to - from);
}

double AxisScale::value(double pixel) const {
  const double share = (pixel - from) / (to - from);
  return log ? low * std::pow(high / low, share) : low + share * (high - low);
}

AxisScale AxisScale::zoomed(double factor, double pixel) const {
  AxisScale axis = *this;
  axis.low = value(pixel + (from - pixel) * factor);
  axis.high = value(pixel + (to - pixel) * factor);
  return axis;
}

AxisScale AxisScale::moved(double share) const {
  AxisScale axis = *this;
  axis.low = value(from + share * (to - from));
  axis.high = value(to + share * (to - from));
  return axis;
}

std::vector<double> AxisScale::ticks(sim::Unit unit, int count) const {
  if (!log) {
    return sim::inner_axis(low, high, count, unit).ticks;
  }
  const double base = unit == sim::Unit::kBytes ? 2.0 : 10.0;
  const double tolerance = 1e-9;
  const double first = std::ceil(std::log(low) / std::log(base) - tolerance);
  const double last = std::floor(std::log(high) / std::log(base) + tolerance);
  const double stride = std::max(1.0, std::ceil((last - first + 1.0) / std::max(count, 1)));
  std::vector<double> ticks;
  for (double power = std::ceil(first / stride) * stride; power <= last; power += stride) {
    ticks.push_back(std::pow(base, power));
  }
  return ticks.size() > 1 ? ticks : sim::inner_axis(low, high, count, unit).ticks;
}

std::string AxisScale::tick_text(double tick, sim::Unit unit, int count) const {
  if (log) {
    return sim::tick_text(tick, tick, tick, unit);
  }
  return sim::tick_text(tick, sim::inner_axis(low, high, count, unit).step,
                        std::max(std::abs(low), std::abs(high)), unit);
}

XyAxes XyAxes::within(const QRectF& box) const {
  XyAxes axes = *this;
  axes.x.low = x.value(box.left());
  axes.x.high = x.value(box.right());
  axes.y.low = y.value(box.bottom());
  axes.y.high = y.value(box.top());
  return axes;
}

bool XyAxes::can_be_shown() const {
  return gui::can_be_shown(x) && gui::can_be_shown(y);
}

}  // namespace kvsieve::gui
