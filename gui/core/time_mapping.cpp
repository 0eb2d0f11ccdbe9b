#include "core/time_mapping.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kvsieve/sim/number_text.h"

namespace kvsieve::gui {
namespace {

struct TimeUnit {
  double us;
  QString name;
};

/// The unit in which times of this size are read.
TimeUnit unit_of(double us) {
  const double size = std::abs(us);
  if (size >= 1e6) {
    return {1e6, QStringLiteral("s")};
  }
  if (size >= 1e3) {
    return {1e3, QStringLiteral("ms")};
  }
  if (size >= 1.0 || size == 0.0) {
    return {1.0, QStringLiteral("µs")};
  }
  return {1e-3, QStringLiteral("ns")};
}

}  // namespace

TimeMapping TimeMapping::zoomed(double factor, double x) const noexcept {
  const double at = us_of(x);
  TimeMapping next = *this;
  next.low_us = at - (at - low_us) / factor;
  next.high_us = at + (high_us - at) / factor;
  return next;
}

TimeMapping TimeMapping::panned(double px) const noexcept {
  TimeMapping next = *this;
  const double by = px / px_per_us();
  next.low_us += by;
  next.high_us += by;
  return next;
}

TimeMapping TimeMapping::clamped(double total_us) const noexcept {
  const double whole = std::max(total_us, kLeastSpanUs);
  const double span = std::clamp(span_us(), kLeastSpanUs, whole);
  TimeMapping next = *this;
  // What is cut off, is cut off at both sides alike.
  const double low = (low_us + high_us - span) / 2.0;
  next.low_us = std::clamp(low, 0.0, whole - span);
  next.high_us = next.low_us + span;
  return next;
}

TimeMapping TimeMapping::focused(double begin_us, double end_us, double total_us) const noexcept {
  constexpr double kMargin = 0.1;
  const double margin = std::max(end_us - begin_us, kLeastSpanUs) * kMargin;
  TimeMapping next = *this;
  next.low_us = begin_us - margin;
  next.high_us = end_us + margin;
  // The margin goes where there is time at all.
  next.low_us = std::max(next.low_us, 0.0);
  next.high_us = std::min(next.high_us, std::max(total_us, next.low_us + kLeastSpanUs));
  return next.clamped(total_us);
}

TimeAxis time_axis(const TimeMapping& mapping, double least_px) {
  constexpr std::array<double, 3> kSteps{2.0, 5.0, 10.0};
  const double least_us = least_px / mapping.px_per_us();
  double step = std::pow(10.0, std::floor(std::log10(least_us)));
  for (const double factor : kSteps) {
    if (step < least_us) {
      step = std::pow(10.0, std::floor(std::log10(least_us))) * factor;
    }
  }
  const TimeUnit unit = unit_of(std::max(std::abs(mapping.low_us), std::abs(mapping.high_us)));
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step / unit.us) - 1e-9)));
  TimeAxis axis;
  axis.unit = unit.name;
  const double first = std::ceil(mapping.low_us / step - 1e-9);
  const double last = std::floor(mapping.high_us / step + 1e-9);
  for (double i = first; i <= last; i += 1.0) {
    axis.ticks.push_back({i * step, sim::fixed(i * step / unit.us, decimals)});
  }
  return axis;
}

QString time_text(double us) {
  const TimeUnit unit = unit_of(us);
  return QStringLiteral("%1 %2").arg(QString::fromStdString(sim::significant(us / unit.us, 4)),
                                     unit.name);
}

QString exact_time_text(double us) {
  return QString::fromStdString(sim::significant(us, 6)) + QStringLiteral(" µs");
}

}  // namespace kvsieve::gui
