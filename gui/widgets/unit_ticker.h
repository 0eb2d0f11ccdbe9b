#pragma once
// Axis ticks with the labels of reports.

#include <algorithm>
#include <cmath>

#include "kvsieve/sim/number_text.h"
#include "widgets/custom_plot.h"

namespace kvsieve::gui {

/// Ticks with a report's labels; bytes stand at multiples of powers of two.
class UnitTicker : public QCPAxisTicker {
 public:
  explicit UnitTicker(sim::Unit unit) : m_unit(unit) {}

 protected:
  double getTickStep(const QCPRange& range) override {
    m_largest = std::max(std::abs(range.lower), std::abs(range.upper));
    m_step = QCPAxisTicker::getTickStep(range);
    if (m_unit == sim::Unit::kBytes) {
      m_step = std::exp2(std::ceil(std::log2(range.size() / (tickCount() + 1))));
    }
    if (m_unit == sim::Unit::kTokens) {
      m_step = std::max(1.0, std::round(m_step));
    }
    return m_step;
  }
  QString getTickLabel(double tick, const QLocale&, QChar, int) override {
    return QString::fromStdString(sim::tick_text(tick, m_step, m_largest, m_unit));
  }

 private:
  sim::Unit m_unit;
  double m_step = 1.0;
  double m_largest = 1.0;
};

/// Powers of ten with a report's labels.
class UnitLogTicker : public QCPAxisTickerLog {
 public:
  explicit UnitLogTicker(sim::Unit unit) : m_unit(unit) {}

 protected:
  QString getTickLabel(double tick, const QLocale&, QChar, int) override {
    return QString::fromStdString(sim::number_text(tick, m_unit));
  }

 private:
  sim::Unit m_unit;
};

}  // namespace kvsieve::gui
