#include "core/head_table.h"

#include <algorithm>

namespace kvsieve::gui {
namespace {

constexpr int kNameColumns = 2;  // layer and head

}  // namespace

void HeadTable::show(std::vector<HeadFigure> figures) {
  beginResetModel();
  std::erase_if(figures,
                [](const HeadFigure& figure) { return figure.id.starts_with("query_heads/"); });
  m_figures = std::move(figures);
  m_heads.clear();
  m_cells.clear();
  if (!m_figures.empty()) {
    const HeadFigure& first = m_figures.front();
    const std::size_t columns = first.map.columns.size();
    for (std::size_t cell = 0; cell < first.map.values.size(); ++cell) {
      const bool known = std::any_of(m_figures.begin(), m_figures.end(), [&](const auto& figure) {
        return figure.map.values[cell].has_value();
      });
      if (known) {
        m_heads.push_back(first.head_at(cell / columns, cell % columns));
        m_cells.push_back(cell);
      }
    }
  }
  endResetModel();
}

int HeadTable::row_of(const HeadId& head) const {
  const auto found = std::lower_bound(m_heads.begin(), m_heads.end(), head);
  return found != m_heads.end() && *found == head ? static_cast<int>(found - m_heads.begin()) : -1;
}

int HeadTable::column_of(const std::string& figure_id) const {
  const auto found = std::find_if(m_figures.begin(), m_figures.end(),
                                  [&](const HeadFigure& one) { return one.id == figure_id; });
  return found != m_figures.end() ? static_cast<int>(found - m_figures.begin()) + kNameColumns : -1;
}

int HeadTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_heads.size());
}

int HeadTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() || m_figures.empty() ? 0
                                               : static_cast<int>(m_figures.size()) + kNameColumns;
}

const std::optional<double>& HeadTable::value(int row, int column) const {
  const HeadFigure& figure = m_figures[static_cast<std::size_t>(column - kNameColumns)];
  return figure.map.values[m_cells[static_cast<std::size_t>(row)]];
}

QVariant HeadTable::data(const QModelIndex& index, int role) const {
  if (role == Qt::TextAlignmentRole) {
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  }
  if (index.column() < kNameColumns) {
    const HeadId& id = head(index.row());
    const qlonglong number = index.column() == 0 ? id.layer : id.head;
    return role == Qt::DisplayRole || role == kNumberRole ? QVariant(number) : QVariant();
  }
  const std::optional<double>& number = value(index.row(), index.column());
  if (!number) {
    return {};
  }
  const sim::Unit unit =
      m_figures[static_cast<std::size_t>(index.column() - kNameColumns)].map.unit;
  switch (role) {
    case Qt::DisplayRole:
      return QString::fromStdString(sim::number_text(*number, unit));
    case Qt::ToolTipRole:
      return QString::fromStdString(sim::exact_text(*number, unit));
    case kNumberRole:
      return *number;
    default:
      return {};
  }
}

QVariant HeadTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation == Qt::Vertical) {
    return {};
  }
  if (section < kNameColumns) {
    const QString unit =
        m_figures.empty() ? QString() : QString::fromStdString(m_figures.front().map.column_name);
    return role == Qt::DisplayRole ? QVariant(section == 0 ? QStringLiteral("layer") : unit)
                                   : QVariant();
  }
  const HeadFigure& figure = m_figures[static_cast<std::size_t>(section - kNameColumns)];
  if (role == Qt::DisplayRole) {
    return QString::fromStdString(figure.name);
  }
  return role == Qt::ToolTipRole ? QVariant(QString::fromStdString(figure.formula)) : QVariant();
}

}  // namespace kvsieve::gui
