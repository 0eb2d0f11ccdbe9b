#include "core/chart_csv.h"

#include <QStringList>
#include <optional>
#include <vector>

#include "core/csv_text.h"

namespace kvsieve::gui {
namespace {

QString csv_unit(sim::Unit unit) {
  switch (unit) {
    case sim::Unit::kShare:
      return QStringLiteral(" (share)");
    case sim::Unit::kTokens:
      return QStringLiteral(" (count)");
    case sim::Unit::kBytes:
      return QStringLiteral(" (bytes)");
    case sim::Unit::kRatio:
      return QStringLiteral(" (ratio)");
    case sim::Unit::kMicroseconds:
      return QStringLiteral(" (us)");
    case sim::Unit::kGbps:
      return QStringLiteral(" (GB/s)");
    case sim::Unit::kNumber:
      break;
  }
  return {};
}

/// Series beside each other, one line an index.
QString csv_series(const QString& first, const QStringList& names,
                   const std::vector<const sim::Series*>& series, sim::Unit unit) {
  QStringList lines;
  QStringList head{csv_cell(first)};
  for (const sim::Series* one : series) {
    head << csv_cell(QString::fromStdString(one->name) + csv_unit(unit));
  }
  lines << head.join(',');
  for (qsizetype i = 0; i < names.size(); ++i) {
    QStringList row{csv_cell(names[i])};
    for (const sim::Series* one : series) {
      const auto index = static_cast<std::size_t>(i);
      row << csv_number(index < one->values.size() ? one->values[index] : std::nullopt);
    }
    lines << row.join(',');
  }
  return lines.join('\n') + '\n';
}

std::vector<const sim::Series*> pointers(const std::vector<sim::Series>& series) {
  std::vector<const sim::Series*> all;
  for (const sim::Series& one : series) {
    all.push_back(&one);
  }
  return all;
}

QStringList texts(const std::vector<std::string>& names) {
  QStringList list;
  for (const std::string& name : names) {
    list << QString::fromStdString(name);
  }
  return list;
}

QString csv_of(const sim::BarChart& chart) {
  std::vector<const sim::Series*> series = pointers(chart.series);
  if (chart.marks) {
    series.push_back(&*chart.marks);
  }
  return csv_series(QString::fromStdString(chart.category_name), texts(chart.categories), series,
                    chart.unit);
}

QString csv_of(const sim::RatioChart& chart) {
  const sim::Series series{chart.value_name, chart.values};
  return csv_series(QString::fromStdString(chart.category_name), texts(chart.categories), {&series},
                    sim::Unit::kRatio);
}

QString csv_of(const sim::LineChart& chart) {
  QStringList names;
  for (const double x : chart.x) {
    names << csv_number(x);
  }
  return csv_series(QString::fromStdString(chart.x_name), names, pointers(chart.series),
                    chart.unit);
}

QString csv_of(const sim::ScatterChart& chart) {
  QStringList lines{
      QStringList{"name", csv_cell(QString::fromStdString(chart.x_name) + csv_unit(chart.x_unit)),
                  csv_cell(QString::fromStdString(chart.y_name) + csv_unit(chart.y_unit))}
          .join(',')};
  for (const sim::ScatterChart::Point& point : chart.points) {
    lines << QStringList{csv_cell(QString::fromStdString(point.name)), csv_number(point.x),
                         csv_number(point.y)}
                 .join(',');
  }
  return lines.join('\n') + '\n';
}

QString csv_of(const sim::AgreementChart& chart) {
  const QString unit = " (" + QString::fromStdString(chart.unit) + ")";
  QStringList lines{QStringList{"name", "kind",
                                csv_cell(QString::fromStdString(chart.x_name) + unit),
                                csv_cell(QString::fromStdString(chart.y_name) + unit)}
                        .join(',')};
  for (const sim::AgreementChart::Point& point : chart.points) {
    lines << QStringList{csv_cell(QString::fromStdString(point.name)),
                         csv_cell(QString::fromStdString(chart.kinds[point.kind].name)),
                         csv_number(point.x), csv_number(point.y)}
                 .join(',');
  }
  return lines.join('\n') + '\n';
}

/// A line a cell.
QString csv_of(const sim::HeatMap& map) {
  QStringList lines{
      QStringList{csv_cell(QString::fromStdString(map.row_name)),
                  csv_cell(QString::fromStdString(map.column_name)),
                  csv_cell(QString::fromStdString(map.value_name) + csv_unit(map.unit))}
          .join(',')};
  for (std::size_t row = 0; row < map.rows.size(); ++row) {
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      const std::size_t at = row * map.columns.size() + column;
      lines << QStringList{csv_cell(QString::fromStdString(map.rows[row])),
                           csv_cell(QString::fromStdString(map.columns[column])),
                           csv_number(at < map.values.size() ? map.values[at] : std::nullopt)}
                   .join(',');
    }
  }
  return lines.join('\n') + '\n';
}

/// A line a head.
QString csv_of(const sim::BudgetChart& chart) {
  QStringList lines{QStringList{"layer", csv_cell(QString::fromStdString(chart.unit_name)),
                                "budget (tokens)", "equal share (tokens)"}
                        .join(',')};
  for (const sim::BudgetChart::Layer& layer : chart.layers) {
    for (std::size_t head = 0; head < layer.budgets.size(); ++head) {
      lines << QStringList{csv_cell(QString::fromStdString(layer.name)), QString::number(head),
                           csv_number(layer.budgets[head]), csv_number(layer.equal)}
                   .join(',');
    }
  }
  return lines.join('\n') + '\n';
}

/// A line a run of kept tokens.
QString csv_of(const sim::TokenStrip& strip) {
  QStringList lines{"head,begin (token),end (token)"};
  for (const sim::TokenStrip::Row& row : strip.rows) {
    for (const sim::TokenRun& run : row.runs) {
      lines << QStringLiteral("%1,%2,%3")
                   .arg(csv_cell(QString::fromStdString(row.name)))
                   .arg(run.begin)
                   .arg(run.end);
    }
  }
  return lines.join('\n') + '\n';
}

}  // namespace

QString chart_csv(const sim::Chart& chart) {
  return std::visit([](const auto& one) { return csv_of(one); }, chart);
}

}  // namespace kvsieve::gui
