#include "core/figure_delta.h"

#include <cmath>
#include <limits>
#include <tuple>

namespace kvsieve::gui {
namespace {

/// How far a figure moved; infinite from 0.
double size_of(const DeltaValue& value) {
  const std::optional<double> relative = value.relative();
  return relative ? std::abs(*relative) : std::numeric_limits<double>::infinity();
}

}  // namespace

std::optional<double> DeltaValue::difference() const {
  return baseline && shown ? std::optional(*shown - *baseline) : std::nullopt;
}

std::optional<double> DeltaValue::relative() const {
  const std::optional<double> change = difference();
  if (!change || (*baseline == 0.0 && *change != 0.0)) {
    return std::nullopt;
  }
  return *change == 0.0 ? 0.0 : *change / std::abs(*baseline);
}

Verdict verdict_of(const DeltaValue& value, const MetricInfo& info) {
  const std::optional<double> change = value.difference();
  if (!change) {
    return Verdict::kMissing;
  }
  if (*change == 0.0) {
    return Verdict::kEqual;
  }
  if (!info.best) {
    return Verdict::kOther;
  }
  const bool rises_well = *info.best == sim::ParetoDirection::kMax;
  return (*change > 0.0) == rises_well ? Verdict::kBetter : Verdict::kWorse;
}

QString name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kEqual:
      return QStringLiteral("equal");
    case Verdict::kBetter:
      return QStringLiteral("better");
    case Verdict::kWorse:
      return QStringLiteral("worse");
    case Verdict::kOther:
      return QStringLiteral("differs");
    case Verdict::kMissing:
      return QStringLiteral("missing");
  }
  return {};
}

QString sign_glyph(double difference) {
  return difference > 0.0   ? QStringLiteral("▲")
         : difference < 0.0 ? QStringLiteral("▼")
                            : QStringLiteral("=");
}

QString difference_text(double difference, const MetricInfo& info) {
  const QString text = info.text(std::abs(difference));
  // A factor's difference is no factor.
  const QString plain = text.startsWith(QStringLiteral("×")) ? text.mid(1) : text;
  return (difference > 0.0 ? "+" : difference < 0.0 ? "-" : "") + plain;
}

QString relative_text(const DeltaValue& value) {
  const std::optional<double> relative = value.relative();
  if (!relative) {
    return {};
  }
  const double percent = 100.0 * *relative;
  const int decimals = std::abs(percent) < 10.0 ? 2 : std::abs(percent) < 1000.0 ? 1 : 0;
  return (percent > 0.0 ? "+" : "") + QString::fromStdString(sim::fixed(percent, decimals)) + "%";
}

bool is_worse(const DeltaValue& a, const MetricInfo& a_info, const DeltaValue& b,
              const MetricInfo& b_info) {
  const auto place = [](const DeltaValue& value, const MetricInfo& info) {
    switch (verdict_of(value, info)) {
      case Verdict::kWorse:
        return std::tuple(0, -size_of(value));
      case Verdict::kOther:
        return std::tuple(1, -size_of(value));
      case Verdict::kBetter:
        return std::tuple(2, size_of(value));
      case Verdict::kEqual:
        return std::tuple(3, 0.0);
      case Verdict::kMissing:
        break;
    }
    return std::tuple(4, 0.0);
  };
  return place(a, a_info) < place(b, b_info);
}

}  // namespace kvsieve::gui
