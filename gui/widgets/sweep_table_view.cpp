#include "widgets/sweep_table_view.h"

#include <QHeaderView>
#include <QScrollBar>
#include <QStyledItemDelegate>
#include <algorithm>
#include <optional>
#include <utility>

#include "widgets/copy_cells.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

// Selections of more separate runs of rows are shown by marks alone: Qt's take quadratic time.
constexpr std::size_t kMostRuns = 500;

class SweepRowDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

 protected:
  void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override {
    QStyledItemDelegate::initStyleOption(option, index);
    if (index.data(SweepRowsModel::kMarkedRole).toBool()) {
      QColor tint = option->palette.color(QPalette::Highlight);
      tint.setAlphaF(0.25F);
      option->backgroundBrush = tint;
    }
    if (index.data(SweepRowsModel::kOnFrontRole).toBool()) {
      option->font.setBold(true);
    }
    if (index.data(SweepRowsModel::kFailedRole).toBool()) {
      option->palette.setColor(QPalette::Text, faint_text(option->palette));
    }
  }
};

/// Ascending places as selected rows.
QItemSelection rows_selected(const QAbstractItemModel& model, const std::vector<int>& places,
                             int first_column, int last_column) {
  QItemSelection selection;
  for (std::size_t i = 0; i < places.size();) {
    std::size_t end = i + 1;
    while (end < places.size() && places[end] == places[end - 1] + 1) {
      ++end;
    }
    selection.append(QItemSelectionRange(model.index(places[i], first_column),
                                         model.index(places[end - 1], last_column)));
    i = end;
  }
  return selection;
}

std::size_t runs_in(const std::vector<int>& places) {
  std::size_t runs = places.empty() ? 0 : 1;
  for (std::size_t i = 1; i < places.size(); ++i) {
    runs += places[i] == places[i - 1] + 1 ? 0 : 1;
  }
  return runs;
}

}  // namespace

SweepTableView::SweepTableView(SweepRowsModel* model) : m_model(model) {
  setObjectName(QStringLiteral("sweep.table"));
  setAccessibleName(QStringLiteral("Points of the sweep"));
  setModel(m_model);
  setItemDelegate(new SweepRowDelegate(this));
  setAlternatingRowColors(true);
  setWordWrap(false);
  setShowGrid(false);
  verticalHeader()->hide();
  verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
  verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
  horizontalHeader()->setSectionsClickable(true);
  horizontalHeader()->setSectionsMovable(true);
  horizontalHeader()->setSortIndicatorShown(true);
  horizontalHeader()->setResizeContentsPrecision(100);
  copy_cells_with_shortcut(this);
  connect(m_model, &SweepRowsModel::hidden_changed, this, &SweepTableView::show_hidden_columns);
  connect(selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
    if (!m_selecting && m_model->arrangement()) {
      Q_EMIT points_selected();
    }
  });
}

bool SweepTableView::show_arrangement(std::shared_ptr<const SweepArrangement> arrangement) {
  const auto& before = m_model->arrangement();
  const bool same_store = before && before->table->path() == arrangement->table->path();
  const bool same_fields =
      same_store && before->table->options().size() == arrangement->table->options().size() &&
      before->table->metrics().size() == arrangement->table->metrics().size();
  const std::vector<CellBlock> blocks = same_store ? selected_blocks() : std::vector<CellBlock>();
  const QModelIndex current = currentIndex();
  std::optional<std::pair<std::uint32_t, SweepColumnId>> current_cell;
  if (same_store && current.isValid()) {
    current_cell.emplace(m_model->row_of(current.row()),
                         m_model->fields()[static_cast<std::size_t>(current.column())]);
  }
  const int top = verticalScrollBar()->value();
  std::optional<std::uint32_t> top_row;
  if (same_store && top > 0 && top < m_model->rowCount()) {
    top_row = m_model->row_of(top);
  }

  m_selecting = true;
  m_model->show(arrangement);
  if (!same_fields) {
    resizeColumnsToContents();
  }
  show_hidden_columns();
  const int sorted = m_model->column_of(arrangement->query.sort);
  horizontalHeader()->setSortIndicator(
      sorted, arrangement->query.descending ? Qt::DescendingOrder : Qt::AscendingOrder);
  select_blocks(blocks);
  if (current_cell) {
    const int place = m_model->place_of(current_cell->first);
    const int column = m_model->column_of(current_cell->second);
    if (place >= 0 && column >= 0) {
      selectionModel()->setCurrentIndex(m_model->index(place, column),
                                        QItemSelectionModel::NoUpdate);
    }
  }
  if (top_row) {
    if (const int place = m_model->place_of(*top_row); place >= 0) {
      verticalScrollBar()->setValue(place);
    }
  }
  m_selecting = false;
  return !blocks.empty();
}

void SweepTableView::show_hidden_columns() {
  for (int column = 0; column < m_model->columnCount(); ++column) {
    const bool hidden = m_model->is_hidden(column);
    if (isColumnHidden(column) != hidden) {
      setColumnHidden(column, hidden);
    }
  }
}

std::vector<SweepTableView::CellBlock> SweepTableView::selected_blocks() const {
  std::vector<CellBlock> blocks;
  for (const QItemSelectionRange& range : selectionModel()->selection()) {
    CellBlock& block = blocks.emplace_back();
    for (int row = range.top(); row <= range.bottom(); ++row) {
      block.rows.push_back(m_model->row_of(row));
    }
    block.first_column = m_model->fields()[static_cast<std::size_t>(range.left())];
    block.last_column = m_model->fields()[static_cast<std::size_t>(range.right())];
  }
  return blocks;
}

void SweepTableView::select_blocks(const std::vector<CellBlock>& blocks) {
  QItemSelection selection;
  std::size_t runs = 0;
  for (const CellBlock& block : blocks) {
    const int first = m_model->column_of(block.first_column);
    const int last = m_model->column_of(block.last_column);
    std::vector<int> places;
    for (const std::uint32_t row : block.rows) {
      if (const int place = m_model->place_of(row); place >= 0) {
        places.push_back(place);
      }
    }
    std::sort(places.begin(), places.end());
    runs += runs_in(places);
    if (first < 0 || last < first || runs > kMostRuns) {
      return;
    }
    selection.append(rows_selected(*m_model, places, first, last));
  }
  selectionModel()->select(selection, QItemSelectionModel::ClearAndSelect);
}

std::vector<int> SweepTableView::places_of(const std::vector<std::int64_t>& points) const {
  std::vector<int> places;
  const SweepArrangement& arrangement = *m_model->arrangement();
  for (std::size_t i = 0; i < arrangement.shown.size() && !points.empty(); ++i) {
    if (std::binary_search(points.begin(), points.end(),
                           arrangement.table->number(arrangement.shown[i]))) {
      places.push_back(static_cast<int>(i));
    }
  }
  return places;
}

std::vector<std::int64_t> SweepTableView::selected_points() const {
  std::vector<std::int64_t> points;
  for (const CellBlock& block : selected_blocks()) {
    for (const std::uint32_t row : block.rows) {
      points.push_back(m_model->arrangement()->table->number(row));
    }
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

void SweepTableView::select_points(const std::vector<std::int64_t>& points, bool scroll) {
  const std::vector<int> places = places_of(points);
  m_selecting = true;
  if (places.empty() || runs_in(places) > kMostRuns) {
    clearSelection();
  } else {
    selectionModel()->select(rows_selected(*m_model, places, 0, m_model->columnCount() - 1),
                             QItemSelectionModel::ClearAndSelect);
  }
  if (!places.empty() && scroll) {
    const int column = std::max(1, currentIndex().column());
    const QModelIndex first = m_model->index(places.front(), column);
    selectionModel()->setCurrentIndex(first, QItemSelectionModel::NoUpdate);
    scrollTo(first);
  }
  m_selecting = false;
}

std::vector<std::uint32_t> SweepTableView::chosen_rows(
    const std::vector<std::int64_t>& points) const {
  std::vector<std::uint32_t> rows;
  if (!m_model->arrangement()) {
    return rows;
  }
  for (const int place : places_of(points)) {
    rows.push_back(m_model->row_of(place));
  }
  if (rows.empty() && currentIndex().isValid()) {
    rows.push_back(m_model->row_of(currentIndex().row()));
  }
  return rows;
}

}  // namespace kvsieve::gui
