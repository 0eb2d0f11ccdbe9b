#include "core/sweep_rows_model.h"

#include <algorithm>
#include <cmath>

#include "core/csv_text.h"
#include "core/metric_info.h"
#include "kvsieve/sim/number_text.h"

namespace kvsieve::gui {
namespace {

using Kind = SweepColumnId::Kind;

QString text_of(std::string_view text) {
  return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
}

std::vector<SweepColumnId> fields_of(const SweepTable& table) {
  std::vector<SweepColumnId> fields{{Kind::kState, {}}, {Kind::kNumber, {}}};
  for (const SweepColumn& option : table.options()) {
    fields.push_back({Kind::kOption, option.name});
  }
  for (const SweepColumn& metric : table.metrics()) {
    fields.push_back({Kind::kMetric, metric.name});
  }
  fields.push_back({Kind::kError, {}});
  fields.push_back({Kind::kKey, {}});
  return fields;
}

/// Cells in a table are short: a column has one unit, which its header's tooltip names.
QString metric_text(const SweepColumn& column, std::uint32_t row) {
  const double number = column.number(row);
  if (std::isnan(number)) {
    const auto text = column.text(row);
    return text ? text_of(*text) : QString();
  }
  return metric_info(column.name).text(number);
}

}  // namespace

void SweepRowsModel::show(std::shared_ptr<const SweepArrangement> arrangement) {
  beginResetModel();
  m_arrangement = std::move(arrangement);
  m_fields.clear();
  m_places.clear();
  if (m_arrangement) {
    m_fields = fields_of(*m_arrangement->table);
    m_places.assign(m_arrangement->table->rows(), -1);
    for (std::size_t i = 0; i < m_arrangement->shown.size(); ++i) {
      m_places[m_arrangement->shown[i]] = static_cast<int>(i);
    }
  }
  endResetModel();
}

void SweepRowsModel::mark(std::vector<std::int64_t> points) {
  m_marked = std::move(points);
  if (rowCount() > 0) {
    Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, columnCount() - 1), {kMarkedRole});
  }
}

int SweepRowsModel::column_of(const SweepColumnId& field) const {
  const auto found = std::find(m_fields.begin(), m_fields.end(), field);
  return found == m_fields.end() ? -1 : static_cast<int>(found - m_fields.begin());
}

const SweepColumn* SweepRowsModel::column(const SweepColumnId& field) const {
  const SweepTable& table = *m_arrangement->table;
  return field.kind == Kind::kOption   ? table.option(field.name)
         : field.kind == Kind::kMetric ? table.metric(field.name)
                                       : nullptr;
}

bool SweepRowsModel::is_hidden(int section) const {
  const SweepColumnId& field = m_fields[static_cast<std::size_t>(section)];
  const auto asked = m_hidden.find({static_cast<int>(field.kind), field.name});
  if (asked != m_hidden.end()) {
    return asked->second;
  }
  switch (field.kind) {
    case Kind::kState:
    case Kind::kNumber:
      return false;
    case Kind::kError:
      return m_arrangement->table->failed() == 0;
    case Kind::kKey:
      return true;
    default:
      return !column(field)->varies && m_arrangement->table->rows() > 1;
  }
}

void SweepRowsModel::set_hidden(int section, bool hidden) {
  const SweepColumnId& field = m_fields[static_cast<std::size_t>(section)];
  m_hidden[{static_cast<int>(field.kind), field.name}] = hidden;
  Q_EMIT hidden_changed();
}

QString SweepRowsModel::shared_options() const {
  QStringList shared;
  if (m_arrangement && m_arrangement->table->rows() > 1) {
    for (const SweepColumn& option : m_arrangement->table->options()) {
      const auto text = option.text(0);
      if (!option.varies && text) {
        shared << text_of(option.name) + " " + text_of(*text);
      }
    }
  }
  return shared.join(QStringLiteral(", "));
}

std::uint32_t SweepRowsModel::row_of(int shown) const {
  return m_arrangement->shown[static_cast<std::size_t>(shown)];
}

int SweepRowsModel::place_of(std::uint32_t row) const {
  return row < m_places.size() ? m_places[row] : -1;
}

int SweepRowsModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() || !m_arrangement ? 0 : static_cast<int>(m_arrangement->shown.size());
}

int SweepRowsModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_fields.size());
}

QString SweepRowsModel::text(std::uint32_t row, const SweepColumnId& field) const {
  const SweepTable& table = *m_arrangement->table;
  switch (field.kind) {
    case Kind::kState:
      return table.is_failed(row)                ? QStringLiteral("failed")
             : m_arrangement->on_front[row] != 0 ? QStringLiteral("front")
                                                 : QString();
    case Kind::kNumber:
      return QString::number(table.number(row));
    case Kind::kOption: {
      const auto text = column(field)->text(row);
      return text ? text_of(*text) : QString();
    }
    case Kind::kMetric:
      return metric_text(*column(field), row);
    case Kind::kError:
      return text_of(table.error(row));
    case Kind::kKey:
      return text_of(table.key(row));
  }
  return {};
}

QString SweepRowsModel::tooltip(std::uint32_t row, const SweepColumnId& field) const {
  const SweepTable& table = *m_arrangement->table;
  if (table.is_failed(row)) {
    return QStringLiteral("%1 failed: %2").arg(table.label(row), text_of(table.error(row)));
  }
  if (field.kind == Kind::kMetric) {
    const double number = column(field)->number(row);
    if (!std::isnan(number)) {
      const MetricInfo info = metric_info(field.name);
      return QStringLiteral("%1: %2 (%3)")
          .arg(text_of(field.name), info.exact(number), info.origin);
    }
  }
  return table.label(row);
}

QVariant SweepRowsModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || !m_arrangement) {
    return {};
  }
  const std::uint32_t row = row_of(index.row());
  const SweepColumnId& field = m_fields[static_cast<std::size_t>(index.column())];
  const SweepTable& table = *m_arrangement->table;
  switch (role) {
    case Qt::DisplayRole:
      return text(row, field);
    case Qt::ToolTipRole:
      return tooltip(row, field);
    case Qt::TextAlignmentRole: {
      const bool number = field.kind == Kind::kNumber || field.kind == Kind::kMetric;
      return QVariant::fromValue(Qt::AlignVCenter | (number ? Qt::AlignRight : Qt::AlignLeft));
    }
    case kOnFrontRole:
      return m_arrangement->on_front[row] != 0;
    case kFailedRole:
      return table.is_failed(row);
    case kMarkedRole:
      return std::binary_search(m_marked.begin(), m_marked.end(), table.number(row));
    default:
      return {};
  }
}

QString SweepRowsModel::header_tooltip(const SweepColumnId& field) const {
  switch (field.kind) {
    case Kind::kState:
      return QStringLiteral(
          "front: no shown point is better in both axes of the chart; failed: "
          "it could not be computed");
    case Kind::kNumber:
      return QStringLiteral("Number of the point in its sweep, from 0");
    case Kind::kOption:
      return QStringLiteral("Option --%1: see kvsieve run --help").arg(text_of(field.name));
    case Kind::kMetric: {
      const MetricInfo info = metric_info(field.name);
      QStringList parts;
      for (const QString& part : {info.meaning, info.unit_text(), info.origin}) {
        if (!part.isEmpty()) {
          parts << part;
        }
      }
      if (info.best) {
        parts << (*info.best == sim::ParetoDirection::kMax ? QStringLiteral("more is better")
                                                           : QStringLiteral("less is better"));
      }
      return QStringLiteral("%1: %2").arg(text_of(field.name), parts.join(QStringLiteral("; ")));
    }
    case Kind::kError:
      return QStringLiteral("Why the point could not be computed; --resume tries it again");
    case Kind::kKey:
      return QStringLiteral(
          "xxh128 of the point's options, the inputs' hashes, the tool's version "
          "and the instruction set");
  }
  return {};
}

QVariant SweepRowsModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation == Qt::Vertical || section < 0 || section >= columnCount()) {
    return {};
  }
  const SweepColumnId& field = m_fields[static_cast<std::size_t>(section)];
  if (role == Qt::ToolTipRole) {
    return header_tooltip(field);
  }
  if (role != Qt::DisplayRole) {
    return {};
  }
  switch (field.kind) {
    case Kind::kState:
      return QStringLiteral("state");
    case Kind::kNumber:
      return QStringLiteral("number");
    case Kind::kError:
      return QStringLiteral("error");
    case Kind::kKey:
      return QStringLiteral("key");
    default:
      return text_of(field.name);
  }
}

QString SweepRowsModel::csv() const {
  if (!m_arrangement) {
    return {};
  }
  const SweepTable& table = *m_arrangement->table;
  const auto is_own = [](const std::string& name) { return name == "number" || name == "error"; };
  QString csv = QStringLiteral("number");
  for (const SweepColumn& option : table.options()) {
    csv += ',' + csv_cell(text_of(is_own(option.name) ? "options." + option.name : option.name));
  }
  for (const SweepColumn& metric : table.metrics()) {
    const bool prefixed = is_own(metric.name) || table.option(metric.name) != nullptr;
    csv += ',' + csv_cell(text_of(prefixed ? "metrics." + metric.name : metric.name));
  }
  csv += QStringLiteral(",error\r\n");
  const auto append = [&](const SweepColumn& column, std::uint32_t row) {
    csv += ',';
    if (const double number = column.numbers.empty() ? std::nan("") : column.numbers[row];
        !std::isnan(number)) {
      csv += csv_number(number);
    } else if (const auto text = column.text(row)) {
      csv += csv_cell(text_of(*text));
    }
  };
  for (const std::uint32_t row : m_arrangement->shown) {
    csv += QString::number(table.number(row));
    for (const SweepColumn& option : table.options()) {
      append(option, row);
    }
    for (const SweepColumn& metric : table.metrics()) {
      append(metric, row);
    }
    csv += ',' + csv_cell(text_of(table.error(row))) + QStringLiteral("\r\n");
  }
  return csv;
}

}  // namespace kvsieve::gui
