#include "core/point_chart.h"

#include <fmt/format.h>

#include <QLocale>
#include <QStringList>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace kvsieve::gui {
namespace {

constexpr std::size_t kTableRows = 1000;

class Extent {
 public:
  void add(double value, bool log) {
    if (std::isfinite(value) && (!log || value > 0.0)) {
      m_low = std::min(m_low, value);
      m_high = std::max(m_high, value);
    }
  }
  void add(const Extent& other) {
    m_low = std::min(m_low, other.m_low);
    m_high = std::max(m_high, other.m_high);
  }
  [[nodiscard]] sim::Range range(bool log) const {
    if (m_low > m_high) {
      return {log ? 0.1 : 0.0, 1.0};
    }
    if (log) {
      const double margin = std::pow(std::max(m_high / m_low, 1.5), 0.04);
      return {m_low / margin, m_high * margin};
    }
    const double margin = m_high > m_low ? 0.04 * (m_high - m_low) : 0.5;
    return {m_low - margin, m_high + margin};
  }

 private:
  double m_low = std::numeric_limits<double>::infinity();
  double m_high = -std::numeric_limits<double>::infinity();
};

struct Place {
  double x = 0.0;
  double y = 0.0;
  std::string name;
};

Place place_of(const PointChart& chart, const PointRef& point) {
  switch (point.kind) {
    case PointRef::Kind::kCloud: {
      const PointChart::Cloud& cloud = chart.clouds[point.series];
      return {cloud.x[point.index], cloud.y[point.index],
              fmt::format("{} {}, {}", chart.id_name, sim::grouped(cloud.ids[point.index]),
                          cloud.name)};
    }
    case PointRef::Kind::kLine: {
      const PointChart::Line& line = chart.lines[point.series];
      return {line.x[point.index], line.y[point.index], line.name};
    }
    case PointRef::Kind::kMark:
      break;
  }
  const PointChart::Mark& mark = chart.marks[point.series];
  return {mark.x, mark.y, mark.name};
}

QString value_text(const PointChart::Axis& axis, double value) {
  const QString shown = QString::fromStdString(sim::number_text(value, axis.unit));
  const QString exact = QString::fromStdString(sim::exact_text(value, axis.unit));
  return QStringLiteral("%1: %2%3")
      .arg(QString::fromStdString(axis.name), shown,
           exact == shown ? QString() : " (" + exact + ")");
}

QString column_name(const PointChart::Axis& axis) {
  QString name = QString::fromStdString(axis.name);
  if (axis.unit == sim::Unit::kBytes) {
    name += QStringLiteral(" (bytes)");
  } else if (axis.unit == sim::Unit::kGbps) {
    name += QStringLiteral(" (GB/s)");
  }
  name.replace('"', QStringLiteral("\"\""));
  return '"' + name + '"';
}

QString plain(double value) {
  return QString::number(value, 'g', QLocale::FloatingPointShortest);
}

std::vector<std::size_t> highest(const PointChart::Cloud& cloud) {
  std::vector<std::size_t> order(cloud.y.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t count = cloud.keeps_all ? order.size() : std::min(kTableRows, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) { return cloud.y[a] > cloud.y[b]; });
  order.resize(count);
  return order;
}

}  // namespace

PointRanges ranges_of(const PointChart& chart) {
  Extent x;
  Extent y;
  const auto add = [&](double px, double py) {
    x.add(px, chart.x.log);
    y.add(py, chart.y.log);
  };
  for (const PointChart::Cloud& cloud : chart.clouds) {
    for (std::size_t i = 0; i < cloud.x.size(); ++i) {
      add(cloud.x[i], cloud.y[i]);
    }
  }
  for (const PointChart::Line& line : chart.lines) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      add(line.x[i], line.y[i]);
    }
  }
  for (const PointChart::Mark& mark : chart.marks) {
    add(mark.x, mark.y);
  }
  if (chart.diagonal) {
    x.add(y);
    y = x;
  }
  return {x.range(chart.x.log), y.range(chart.y.log)};
}

std::vector<DensityCell> density_of(const PointChart::Cloud& cloud, const AxisScale& x,
                                    const AxisScale& y, double cell) {
  const auto columns = static_cast<std::int32_t>(std::ceil((x.to - x.from) / cell));
  const auto rows = static_cast<std::int32_t>(std::ceil((y.from - y.to) / cell));
  if (columns <= 0 || rows <= 0) {
    return {};
  }
  std::vector<std::int32_t> counts(static_cast<std::size_t>(columns) *
                                   static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < cloud.x.size(); ++i) {
    const double across = std::floor((x.pixel(cloud.x[i]) - x.from) / cell);
    const double down = std::floor((y.pixel(cloud.y[i]) - y.to) / cell);
    if (across >= 0.0 && across < columns && down >= 0.0 && down < rows) {
      ++counts[static_cast<std::size_t>(down) * static_cast<std::size_t>(columns) +
               static_cast<std::size_t>(across)];
    }
  }
  std::vector<DensityCell> cells;
  for (std::int32_t row = 0; row < rows; ++row) {
    for (std::int32_t column = 0; column < columns; ++column) {
      const std::int32_t points =
          counts[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
                 static_cast<std::size_t>(column)];
      if (points > 0) {
        cells.push_back({column, row, points});
      }
    }
  }
  return cells;
}

std::optional<PointRef> nearest_point(const PointChart& chart, const AxisScale& x,
                                      const AxisScale& y, double px, double py, double reach) {
  std::optional<PointRef> nearest;
  double best = reach * reach;
  const auto consider = [&](double at_x, double at_y, const PointRef& point) {
    const double dx = x.pixel(at_x) - px;
    const double dy = y.pixel(at_y) - py;
    if (const double distance = dx * dx + dy * dy;
        distance < best || (!nearest && distance == best)) {
      best = distance;
      nearest = point;
    }
  };
  for (std::size_t m = 0; m < chart.marks.size(); ++m) {
    consider(chart.marks[m].x, chart.marks[m].y, {PointRef::Kind::kMark, m, 0});
  }
  for (const bool kept : {true, false}) {
    for (std::size_t c = 0; c < chart.clouds.size(); ++c) {
      const PointChart::Cloud& cloud = chart.clouds[c];
      for (std::size_t i = 0; cloud.keeps_all == kept && i < cloud.x.size(); ++i) {
        consider(cloud.x[i], cloud.y[i], {PointRef::Kind::kCloud, c, i});
      }
    }
  }
  for (std::size_t l = 0; l < chart.lines.size(); ++l) {
    for (std::size_t i = 0; i < chart.lines[l].x.size(); ++i) {
      consider(chart.lines[l].x[i], chart.lines[l].y[i], {PointRef::Kind::kLine, l, i});
    }
  }
  return nearest;
}

QString text_of(const PointChart& chart, const PointRef& point) {
  const Place place = place_of(chart, point);
  return QString::fromStdString(place.name) + '\n' + value_text(chart.x, place.x) + '\n' +
         value_text(chart.y, place.y);
}

std::optional<std::int64_t> id_of(const PointChart& chart, const PointRef& point) {
  if (point.kind != PointRef::Kind::kCloud) {
    return std::nullopt;
  }
  return chart.clouds[point.series].ids[point.index];
}

sim::Table table_of(const PointChart& chart) {
  sim::Table table;
  if (!chart.clouds.empty()) {
    table.columns.push_back({.title = chart.id_name});
  }
  table.columns.push_back({.title = "what", .numeric = false});
  table.columns.push_back({.title = chart.x.name});
  table.columns.push_back({.title = chart.y.name});
  const auto add = [&](const std::string& id, const std::string& name, double x, double y) {
    std::vector<sim::Cell> row;
    if (!chart.clouds.empty()) {
      row.push_back({id});
    }
    row.push_back({name});
    row.push_back({sim::number_text(x, chart.x.unit)});
    row.push_back({sim::number_text(y, chart.y.unit)});
    table.rows.push_back(std::move(row));
  };
  for (const PointChart::Mark& mark : chart.marks) {
    add("", mark.name, mark.x, mark.y);
  }
  for (const bool kept : {true, false}) {
    for (const PointChart::Cloud& cloud : chart.clouds) {
      if (cloud.keeps_all == kept) {
        for (const std::size_t i : highest(cloud)) {
          add(sim::grouped(cloud.ids[i]), cloud.name, cloud.x[i], cloud.y[i]);
        }
      }
    }
  }
  for (const PointChart::Line& line : chart.lines) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      add("", line.name, line.x[i], line.y[i]);
    }
  }
  return table;
}

QString csv_of(const PointChart& chart) {
  const bool ids = !chart.clouds.empty();
  QStringList lines{(ids ? QString::fromStdString(chart.id_name) + ',' : QString()) +
                    QStringLiteral("what,") + column_name(chart.x) + ',' + column_name(chart.y)};
  const auto add = [&](const QString& id, const std::string& name, double x, double y) {
    QString quoted = QString::fromStdString(name);
    quoted.replace('"', QStringLiteral("\"\""));
    lines << (ids ? id + ',' : QString()) + '"' + quoted + "\"," + plain(x) + ',' + plain(y);
  };
  for (const PointChart::Mark& mark : chart.marks) {
    add({}, mark.name, mark.x, mark.y);
  }
  for (const PointChart::Cloud& cloud : chart.clouds) {
    for (std::size_t i = 0; i < cloud.x.size(); ++i) {
      add(QString::number(cloud.ids[i]), cloud.name, cloud.x[i], cloud.y[i]);
    }
  }
  for (const PointChart::Line& line : chart.lines) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      add({}, line.name, line.x[i], line.y[i]);
    }
  }
  return lines.join('\n') + '\n';
}

}  // namespace kvsieve::gui
