#include "core/metric_info.h"

#include "kvsieve/sim/metric_info.h"

namespace kvsieve::gui {

using sim::Unit;

QString MetricInfo::text(double value) const {
  return QString::fromStdString(sim::number_text(value * scale, unit));
}

QString MetricInfo::exact(double value) const {
  return QString::fromStdString(sim::exact_text(value * scale, unit));
}

QString MetricInfo::unit_text() const {
  switch (unit) {
    case Unit::kShare:
      return QStringLiteral("share of one, in %");
    case Unit::kTokens:
      return QStringLiteral("count");
    case Unit::kBytes:
      return QStringLiteral("bytes, in binary units (1 KiB = 1,024 B)");
    case Unit::kRatio:
      return QStringLiteral("factor");
    case Unit::kMicroseconds:
      return QStringLiteral("time, in us, ms or s");
    case Unit::kGbps:
      return QStringLiteral("10^9 bytes a second");
    case Unit::kNumber:
      break;
  }
  return {};
}

MetricInfo metric_info(std::string_view name) {
  const sim::MetricInfo known = sim::metric_info(name);
  return {known.unit, known.scale, QString::fromStdString(known.meaning),
          known.modelled ? QStringLiteral("modelled") : QStringLiteral("captured"), known.best};
}

}  // namespace kvsieve::gui
