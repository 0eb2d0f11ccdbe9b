#include "widgets/head_matrix_view.h"

#include <QApplication>
#include <QFontMetricsF>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "core/chart_csv.h"
#include "core/qt_text.h"
#include "kvsieve/sim/chart_axis.h"
#include "kvsieve/sim/metric_info.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr double kPad = 6.0;
constexpr double kScaleHeight = 10.0;
constexpr double kScaleWidth = 260.0;
constexpr double kWidestCell = 180.0;
constexpr double kTallestCell = 56.0;

/// A share in a cell has no percent sign: the legend has it.
QString cell_text(double value, sim::Unit unit) {
  if (unit != sim::Unit::kShare) {
    return qs(sim::number_text(value, unit));
  }
  return qs(sim::fixed(100.0 * value, value == 0.0 || value == 1.0 ? 0 : 1));
}

double widest(const std::vector<std::string>& names, const QFontMetricsF& metrics) {
  double width = 0.0;
  for (const std::string& name : names) {
    width = std::max(width, metrics.horizontalAdvance(qs(name)));
  }
  return width;
}

/// A cell's rectangle on whole pixels, so that neighbours meet without a seam.
QRectF cell_rect(const HeadGrid& grid, int row, int column) {
  const double left = std::round(grid.x(column));
  const double top = std::round(grid.y(row));
  const double gap = std::min(grid.cell_width, grid.cell_height) >= 10.0 ? 1.0 : 0.0;
  return {left, top, std::round(grid.x(column + 1)) - left - gap,
          std::round(grid.y(row + 1)) - top - gap};
}

/// Lines that read on any colour below them: dark within light, or the other way round.
void draw_outline(QPainter& painter, const std::vector<QLineF>& lines, const QPalette& palette) {
  painter.setPen(QPen(palette.color(QPalette::Base), 4.0, Qt::SolidLine, Qt::SquareCap));
  painter.drawLines(lines.data(), static_cast<int>(lines.size()));
  painter.setPen(QPen(palette.color(QPalette::Text), 2.0, Qt::SolidLine, Qt::SquareCap));
  painter.drawLines(lines.data(), static_cast<int>(lines.size()));
}

}  // namespace

HeadMatrixView::HeadMatrixView(QString id, QString title, Workspace& workspace)
    : PlotView(std::move(id), std::move(title), workspace) {
  setMouseTracking(true);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(&workspace.view(), &ViewStack::selection_changed, this, &HeadMatrixView::mark_selected);
  clear(QStringLiteral("Nothing to show yet"));
}

void HeadMatrixView::set_figure(HeadFigure figure, std::vector<sim::Values> sharing) {
  m_figure = std::move(figure);
  m_sharing = std::move(sharing);
  m_best = sim::metric_info(m_figure->id).best;
  m_heads = heads_of(*m_figure);
  m_ranks = rank_heads(m_figure->map);
  m_texts.clear();
  for (const std::optional<double>& value : m_figure->map.values) {
    m_texts.push_back(value ? cell_text(*value, m_figure->map.unit) : QString());
  }
  const int rows = static_cast<int>(m_figure->map.rows.size());
  const int columns = static_cast<int>(m_figure->map.columns.size());
  m_cursor = {std::clamp(m_cursor.row, 0, std::max(0, rows - 1)),
              std::clamp(m_cursor.column, 0, std::max(0, columns - 1))};
  m_hovered.reset();
  m_pressed.reset();
  m_dragged_to.reset();
  set_title(qs(m_figure->map.value_name));
  set_origin(qs(m_figure->origin));
  set_note(qs(m_figure->formula));
  constexpr int kSmallest = 200;
  setMinimumHeight(std::min(std::max(kSmallest, rows * 5 + 110), 560));
  updateGeometry();
  recolour();
  mark_selected();
  Q_EMIT content_changed();
}

void HeadMatrixView::clear(const QString& empty_text) {
  m_figure.reset();
  m_sharing.clear();
  m_heads.clear();
  m_texts.clear();
  m_cell_inks.clear();
  m_selected.clear();
  m_hovered.reset();
  set_origin({});
  set_note({});
  set_empty_text(empty_text);
  update();
  Q_EMIT content_changed();
}

void HeadMatrixView::set_colours(Colours colours) {
  m_colours = colours;
  recolour();
}

void HeadMatrixView::set_log(bool log) {
  m_log = log;
  recolour();
}

void HeadMatrixView::set_clip(double share) {
  m_clip = share;
  recolour();
}

void HeadMatrixView::recolour() {
  if (!m_figure) {
    return;
  }
  std::vector<const sim::Values*> sets{&m_figure->map.values};
  for (const sim::Values& values : m_sharing) {
    sets.push_back(&values);
  }
  m_range = colour_range(sets, m_figure->centre, m_clip, m_log);
  m_cell_inks.clear();
  for (const std::optional<double>& value : m_figure->map.values) {
    m_cell_inks.push_back(value ? colour_of(*value).rgb() : 0);
  }
  update();
}

QColor HeadMatrixView::colour_of(double value) const {
  const double place = m_range.place(value);
  if (m_range.centre != ColourCentre::kNone) {
    // The accent is better: below the centre unless higher is better.
    const bool higher = m_best == sim::ParetoDirection::kMax;
    return to_qcolor(sim::diverging_colour(higher ? -place : place));
  }
  return to_qcolor(m_colours == Colours::kCividis ? sim::cividis_colour(place)
                                                  : sim::sequential_colour(place));
}

HeadGrid HeadMatrixView::grid(const QSize& size) const {
  HeadGrid grid;
  if (!m_figure) {
    return grid;
  }
  const QFontMetricsF metrics(font());
  const sim::HeatMap& map = m_figure->map;
  grid.rows = static_cast<int>(map.rows.size());
  grid.columns = static_cast<int>(map.columns.size());
  grid.left =
      std::ceil(std::max(widest(map.rows, metrics),
                         metrics.horizontalAdvance(qs(map.row_name) + QStringLiteral(" ↓"))) +
                2.0 * kPad);
  grid.top = std::ceil(2.0 * metrics.height() + kPad);
  const double below = 2.0 * metrics.height() + kScaleHeight + 3.0 * kPad;
  grid.cell_width =
      std::clamp((size.width() - grid.left - kPad) / std::max(grid.columns, 1), 1.0, kWidestCell);
  grid.cell_height =
      std::clamp((size.height() - grid.top - below) / std::max(grid.rows, 1), 1.0, kTallestCell);
  return grid;
}

std::size_t HeadMatrixView::index_of(const GridCell& cell) const {
  return static_cast<std::size_t>(cell.row) * m_figure->map.columns.size() +
         static_cast<std::size_t>(cell.column);
}

HeadId HeadMatrixView::head_at(const GridCell& cell) const {
  return m_figure->head_at(static_cast<std::size_t>(cell.row),
                           static_cast<std::size_t>(cell.column));
}

QString HeadMatrixView::value_text(std::size_t index) const {
  const double value = *m_figure->map.values[index];
  const QString text = qs(sim::number_text(value, m_figure->map.unit));
  const QString exact = qs(sim::exact_text(value, m_figure->map.unit));
  return exact == text ? text : QStringLiteral("%1 (%2)").arg(text, exact);
}

QString HeadMatrixView::text_at(const GridCell& cell) const {
  const sim::HeatMap& map = m_figure->map;
  const auto row = static_cast<std::size_t>(cell.row);
  const QString where = QStringLiteral("%1 %2, %3 %4")
                            .arg(qs(map.row_name), qs(map.rows[row]), qs(map.column_name),
                                 qs(map.columns[static_cast<std::size_t>(cell.column)]));
  if (m_figure->whole[row]) {
    return where + QStringLiteral("\nleft whole: the layer has a sliding window");
  }
  const std::size_t index = index_of(cell);
  if (!map.values[index]) {
    return where + QStringLiteral("\nno value");
  }
  return QStringLiteral("%1\n%2: %3\n%4 heads\n%5")
      .arg(where, qs(map.value_name), value_text(index),
           qs(rank_text(m_ranks.places[index], m_ranks.count)), qs(m_figure->formula));
}

sim::Table HeadMatrixView::table() const {
  return m_figure ? sim::table_of(m_figure->map) : sim::Table{};
}

QString HeadMatrixView::csv() const {
  return m_figure ? chart_csv(m_figure->map) : QString();
}

QString HeadMatrixView::spoken() const {
  QString text = PlotView::spoken();
  if (m_figure && m_ranks.count > 0) {
    QString cell = text_at(m_cursor);
    text += QStringLiteral(" Under the cursor: ") + cell.replace('\n', QStringLiteral(", "));
  }
  return text;
}

QSize HeadMatrixView::sizeHint() const {
  constexpr int kRow = 24;
  constexpr int kAround = 110;
  const int rows = m_figure ? static_cast<int>(m_figure->map.rows.size()) : 8;
  return {560, std::clamp(rows * kRow + kAround, 240, 640)};
}

void HeadMatrixView::draw(QPaintDevice& device, const QSize& size) {
  QPainter painter(&device);
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  if (!m_figure) {
    return;
  }
  painter.setFont(font());
  const HeadGrid cells = grid(size);
  draw_labels(painter, cells);
  draw_cells(painter, cells);
  draw_selection(painter, cells);
  draw_legend(painter, cells, size);
}

void HeadMatrixView::draw_labels(QPainter& painter, const HeadGrid& grid) const {
  const QFontMetricsF metrics(painter.font());
  const sim::HeatMap& map = m_figure->map;
  const double line = metrics.height();
  const GridCell none{-1, -1};
  const GridCell pointed = m_hovered ? *m_hovered : hasFocus() ? m_cursor : none;
  const QColor plain = faint_text(palette());
  const QColor strong = palette().color(QPalette::Text);
  painter.setPen(plain);
  painter.drawText(QRectF(0.0, 0.0, grid.left - kPad, line), Qt::AlignRight | Qt::AlignVCenter,
                   qs(map.row_name) + QStringLiteral(" ↓"));
  painter.drawText(QRectF(grid.left, 0.0, 400.0, line), Qt::AlignLeft | Qt::AlignVCenter,
                   qs(map.column_name) + QStringLiteral(" →"));
  const std::size_t column_stride = sim::label_stride(
      map.columns.size(), widest(map.columns, metrics) + kPad, grid.columns * grid.cell_width);
  for (int column = 0; column < grid.columns; ++column) {
    const bool marked = pointed.column == column;
    if (static_cast<std::size_t>(column) % column_stride == 0) {
      painter.setPen(marked ? strong : plain);
      const double middle = 0.5 * (grid.x(column) + grid.x(column + 1));
      painter.drawText(QRectF(middle - 60.0, grid.top - line, 120.0, line), Qt::AlignCenter,
                       qs(map.columns[static_cast<std::size_t>(column)]));
    }
  }
  const std::size_t row_stride =
      sim::label_stride(map.rows.size(), line, grid.rows * grid.cell_height);
  for (int row = 0; row < grid.rows; ++row) {
    const bool marked = pointed.row == row;
    if (static_cast<std::size_t>(row) % row_stride == 0) {
      painter.setPen(marked ? strong : plain);
      const double middle = 0.5 * (grid.y(row) + grid.y(row + 1));
      painter.drawText(QRectF(0.0, middle - 0.5 * line, grid.left - kPad, line),
                       Qt::AlignRight | Qt::AlignVCenter,
                       qs(map.rows[static_cast<std::size_t>(row)]));
    }
  }
}

void HeadMatrixView::draw_cells(QPainter& painter, const HeadGrid& grid) const {
  const QFontMetricsF metrics(painter.font());
  double text_width = 0.0;
  for (const QString& text : m_texts) {
    // Digits are equally wide: the longest text is the widest, near enough to leave it room.
    text_width = std::max(text_width, static_cast<double>(text.size()));
  }
  text_width = text_width * metrics.horizontalAdvance('0') + kPad;
  const bool with_text = grid.cell_width >= text_width && grid.cell_height >= metrics.height();
  const QColor lines = grid_line(palette());
  for (int row = 0; row < grid.rows; ++row) {
    if (m_figure->whole[static_cast<std::size_t>(row)]) {
      QRectF band = cell_rect(grid, row, 0);
      band.setRight(cell_rect(grid, row, std::max(grid.columns - 1, 0)).right());
      painter.fillRect(band, lines);
      painter.fillRect(band, QBrush(faint_text(palette()), Qt::BDiagPattern));
      if (grid.cell_height >= metrics.height()) {
        const QString text = QStringLiteral(" left whole: sliding window ");
        QRectF label(band.topLeft(), QSizeF(metrics.horizontalAdvance(text), band.height()));
        label.moveCenter(band.center());
        if (label.width() <= band.width()) {
          painter.fillRect(label, palette().color(QPalette::Base));
          painter.setPen(palette().color(QPalette::Text));
          painter.drawText(label, Qt::AlignCenter, text);
        }
      }
      continue;
    }
    for (int column = 0; column < grid.columns; ++column) {
      const std::size_t index = index_of({row, column});
      const QRectF rect = cell_rect(grid, row, column);
      if (!m_figure->map.values[index]) {
        painter.fillRect(rect, QBrush(lines, Qt::Dense5Pattern));
        continue;
      }
      const QColor colour = QColor::fromRgb(m_cell_inks[index]);
      painter.fillRect(rect, colour);
      if (with_text) {
        painter.setPen(to_qcolor(sim::text_colour_on(to_colour(colour))));
        painter.drawText(rect, Qt::AlignCenter, m_texts[index]);
      }
    }
  }
}

void HeadMatrixView::draw_selection(QPainter& painter, const HeadGrid& grid) const {
  const auto selected = [&](int row, int column) {
    return row >= 0 && row < grid.rows && column >= 0 && column < grid.columns &&
           m_selected[index_of({row, column})];
  };
  std::vector<QLineF> lines;
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      if (!selected(row, column)) {
        continue;
      }
      const QRectF rect = cell_rect(grid, row, column);
      if (!selected(row - 1, column)) {
        lines.emplace_back(rect.topLeft(), rect.topRight());
      }
      if (!selected(row + 1, column)) {
        lines.emplace_back(rect.bottomLeft(), rect.bottomRight());
      }
      if (!selected(row, column - 1)) {
        lines.emplace_back(rect.topLeft(), rect.bottomLeft());
      }
      if (!selected(row, column + 1)) {
        lines.emplace_back(rect.topRight(), rect.bottomRight());
      }
    }
  }
  draw_outline(painter, lines, palette());
  if (hasFocus() && grid.rows > 0 && grid.columns > 0) {
    const QRectF rect = cell_rect(grid, m_cursor.row, m_cursor.column).adjusted(-2, -2, 2, 2);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Base), 3.0));
    painter.drawRect(rect);
    painter.setPen(QPen(palette().color(QPalette::Highlight), 3.0, Qt::DotLine));
    painter.drawRect(rect);
  }
  if (m_pressed && m_dragged_to) {
    QColor inside = palette().color(QPalette::Highlight);
    painter.setPen(QPen(inside, 1.0, Qt::DashLine));
    inside.setAlphaF(0.25F);
    painter.setBrush(inside);
    painter.drawRect(QRectF(*m_pressed, *m_dragged_to).normalized());
  }
}

void HeadMatrixView::draw_legend(QPainter& painter, const HeadGrid& grid, const QSize& size) const {
  if (m_ranks.count == 0) {
    return;
  }
  const QFontMetricsF metrics(painter.font());
  const double left = grid.left;
  const double width = std::max(60.0, std::min(kScaleWidth, size.width() - left - 8.0 * kPad));
  const double top = grid.y(grid.rows) + 2.0 * kPad;
  const bool centred = m_range.centre != ColourCentre::kNone;
  const auto place_at = [&](double share) { return centred ? 2.0 * share - 1.0 : share; };
  const int steps = static_cast<int>(width);
  for (int i = 0; i < steps; ++i) {
    const double value = m_range.value_at(place_at((i + 0.5) / steps));
    painter.fillRect(QRectF(left + i, top, 1.0, kScaleHeight), colour_of(value));
  }
  painter.setPen(palette().color(QPalette::Text));
  const sim::Unit unit = m_figure->map.unit;
  double free_from = -1e9;
  const auto tick = [&](double share, const QString& text) {
    const double x = left + share * width;
    const double half = 0.5 * metrics.horizontalAdvance(text);
    if (x - half < free_from) {
      return;
    }
    free_from = x + half + kPad;
    painter.drawLine(QPointF(x, top + kScaleHeight), QPointF(x, top + kScaleHeight + 4.0));
    painter.drawText(
        QRectF(x - half - 2.0, top + kScaleHeight + 4.0, 2.0 * half + 4.0, metrics.height()),
        Qt::AlignCenter, text);
  };
  if (m_range.log || m_range.centre == ColourCentre::kOne) {
    for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
      tick(share, qs(sim::number_text(m_range.value_at(place_at(share)), unit)));
    }
  } else {
    const sim::Axis axis = sim::inner_axis(m_range.low, m_range.high, 5, unit);
    for (const double value : axis.ticks) {
      const double span = m_range.high - m_range.low;
      const double share = span > 0.0 ? (value - m_range.low) / span : 0.5;
      tick(share, qs(sim::tick_text(value, axis.step, axis.high, unit)));
    }
  }
  QString words = qs(m_figure->map.value_name);
  if (m_best) {
    words += *m_best == sim::ParetoDirection::kMax ? QStringLiteral(", higher is better")
                                                   : QStringLiteral(", lower is better");
  }
  if (m_range.clips_low || m_range.clips_high) {
    words += QStringLiteral("; values beyond the ends have their colours");
  }
  painter.setPen(faint_text(palette()));
  painter.drawText(QRectF(left, top + kScaleHeight + metrics.height() + 4.0,
                          size.width() - left - kPad, metrics.height()),
                   Qt::AlignLeft | Qt::AlignVCenter, words);
}

void HeadMatrixView::mark_selected() {
  m_selected.clear();
  if (!m_figure) {
    return;
  }
  const Selection& selection = workspace().view().selection();
  m_selected.resize(m_figure->map.values.size());
  const std::size_t columns = m_figure->map.columns.size();
  for (std::size_t i = 0; i < m_selected.size(); ++i) {
    m_selected[i] =
        m_figure->map.values[i] && selection.contains(m_figure->head_at(i / columns, i % columns));
  }
  update();
}

bool HeadMatrixView::event(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    update();
  }
  return PlotView::event(event);
}

void HeadMatrixView::paintEvent(QPaintEvent*) {
  draw(*this, size());
}

void HeadMatrixView::mousePressEvent(QMouseEvent* event) {
  if (event->button() == Qt::LeftButton && m_figure) {
    m_pressed = event->position();
    m_dragged_to.reset();
  }
}

void HeadMatrixView::mouseMoveEvent(QMouseEvent* event) {
  if (!m_figure) {
    return;
  }
  if (m_pressed && (event->buttons() & Qt::LeftButton)) {
    const double moved = (event->position() - *m_pressed).manhattanLength();
    if (m_dragged_to || moved >= QApplication::startDragDistance()) {
      m_dragged_to = event->position();
      update();
      return;
    }
  }
  const std::optional<GridCell> cell =
      grid(size()).cell_at(event->position().x(), event->position().y());
  if (cell == m_hovered) {
    return;
  }
  m_hovered = cell;
  update();
  if (!cell) {
    QToolTip::hideText();
    Q_EMIT hovered({});
    return;
  }
  QToolTip::showText(event->globalPosition().toPoint(), text_at(*cell), this);
  say(*cell);
}

void HeadMatrixView::mouseReleaseEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton || !m_pressed || !m_figure) {
    return;
  }
  const QPointF from = *m_pressed;
  const bool dragged = m_dragged_to.has_value();
  m_pressed.reset();
  m_dragged_to.reset();
  update();
  const HeadGrid cells = grid(size());
  ViewStack& view = workspace().view();
  const bool control = (event->modifiers() & Qt::ControlModifier) != 0;
  if (dragged) {
    const auto block =
        cells.cells_between(from.x(), from.y(), event->position().x(), event->position().y());
    std::vector<HeadId> heads;
    if (block) {
      for (int row = block->first.row; row <= block->last.row; ++row) {
        for (int column = block->first.column; column <= block->last.column; ++column) {
          if (m_figure->map.values[index_of({row, column})]) {
            heads.push_back(head_at({row, column}));
          }
        }
      }
      m_cursor = block->first;
    }
    view.select(select_heads(view.selection(), std::move(heads), control));
    return;
  }
  const auto cell = cells.cell_at(event->position().x(), event->position().y());
  if (cell && m_figure->map.values[index_of(*cell)]) {
    m_cursor = *cell;
    const Pick how = control                                         ? Pick::kToggle
                     : (event->modifiers() & Qt::ShiftModifier) != 0 ? Pick::kExtend
                                                                     : Pick::kReplace;
    view.select(pick(view.selection(), head_at(*cell), how, m_heads));
  }
}

void HeadMatrixView::mouseDoubleClickEvent(QMouseEvent* event) {
  if (!m_figure) {
    return;
  }
  const auto cell = grid(size()).cell_at(event->position().x(), event->position().y());
  if (cell && m_figure->map.values[index_of(*cell)]) {
    Q_EMIT activated(head_at(*cell));
  }
}

void HeadMatrixView::leaveEvent(QEvent*) {
  m_hovered.reset();
  update();
  Q_EMIT hovered({});
}

void HeadMatrixView::keyPressEvent(QKeyEvent* event) {
  if (!m_figure || m_figure->map.values.empty()) {
    PlotView::keyPressEvent(event);
    return;
  }
  ViewStack& view = workspace().view();
  const bool shift = (event->modifiers() & Qt::ShiftModifier) != 0;
  const bool control = (event->modifiers() & Qt::ControlModifier) != 0;
  const int last_row = static_cast<int>(m_figure->map.rows.size()) - 1;
  const int last_column = static_cast<int>(m_figure->map.columns.size()) - 1;
  const auto [row, column] = m_cursor;
  const bool has_value = m_figure->map.values[index_of(m_cursor)].has_value();
  switch (event->key()) {
    case Qt::Key_Left:
      return move_cursor({row, std::max(column - 1, 0)}, shift);
    case Qt::Key_Right:
      return move_cursor({row, std::min(column + 1, last_column)}, shift);
    case Qt::Key_Up:
      return move_cursor({std::max(row - 1, 0), column}, shift);
    case Qt::Key_Down:
      return move_cursor({std::min(row + 1, last_row), column}, shift);
    case Qt::Key_Home:
      return move_cursor({control ? 0 : row, 0}, shift);
    case Qt::Key_End:
      return move_cursor({control ? last_row : row, last_column}, shift);
    case Qt::Key_Space:
      if (has_value) {
        view.select(pick(view.selection(), head_at(m_cursor), Pick::kToggle, m_heads));
      }
      return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
      if (has_value) {
        const HeadId head = head_at(m_cursor);
        const bool again = view.selection().heads == std::vector{head};
        view.select(pick(view.selection(), head, Pick::kReplace, m_heads));
        if (again) {
          Q_EMIT activated(head);
        }
      }
      return;
    case Qt::Key_A:
      if (control) {
        view.select(select_heads(view.selection(), m_heads, false));
        return;
      }
      break;
    default:
      break;
  }
  PlotView::keyPressEvent(event);
}

void HeadMatrixView::move_cursor(const GridCell& cell, bool extends) {
  m_cursor = cell;
  if (extends && m_figure->map.values[index_of(cell)]) {
    ViewStack& view = workspace().view();
    view.select(pick(view.selection(), head_at(cell), Pick::kExtend, m_heads));
  }
  update();
  say(cell);
  setAccessibleDescription(spoken());
}

void HeadMatrixView::say(const GridCell& cell) {
  QString text = text_at(cell);
  Q_EMIT hovered(text.replace('\n', QStringLiteral(" · ")));
}

}  // namespace kvsieve::gui
