#include "widgets/delta_map_view.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "core/csv_text.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr double kPadding = 6.0;
constexpr double kScaleWidth = 14.0;
constexpr double kLargestCell = 90.0;
constexpr double kLargestHeight = 40.0;

QString number_text(const MetricInfo& info, const std::optional<double>& value) {
  return value ? info.text(*value) : QStringLiteral("missing");
}

}  // namespace

DeltaMapView::DeltaMapView(Workspace& workspace)
    : PlotView(QStringLiteral("compare.heads"), QStringLiteral("Change by head"), workspace) {
  setMouseTracking(true);
  connect(&workspace.view(), &ViewStack::selection_changed, this, qOverload<>(&QWidget::update));
}

void DeltaMapView::set_map(DeltaMap map, const QString& figure, const MetricInfo& info,
                           bool relative) {
  m_map = std::move(map);
  m_figure = figure;
  m_info = info;
  m_relative = relative;
  m_cursor.reset();
  m_largest = 0.0;
  for (Cell cell = 0; cell < m_map.values.size(); ++cell) {
    m_largest = std::max(m_largest, std::abs(change(cell).value_or(0.0)));
  }
  set_title(
      QStringLiteral("%1 by head: %2 change").arg(figure, relative ? "relative" : "absolute"));
  set_origin(info.origin);
  const QString meaning = info.best ? QStringLiteral("blue is better, orange worse")
                                    : QStringLiteral("blue is smaller, orange larger");
  set_note(QStringLiteral("Shown minus baseline: %1; ▲ rose, ▼ fell, hatched where one run lacks "
                          "the head.")
               .arg(meaning));
  updateGeometry();
  update();
  Q_EMIT content_changed();
}

void DeltaMapView::clear(const QString& empty_text) {
  m_map = {};
  m_cursor.reset();
  set_empty_text(empty_text);
  update();
  Q_EMIT content_changed();
}

std::optional<double> DeltaMapView::change(Cell cell) const {
  const DeltaValue& value = m_map.values[cell];
  return m_relative ? value.relative() : value.difference();
}

QColor DeltaMapView::colour_of(double change) const {
  const double share = m_largest > 0.0 ? change / m_largest : 0.0;
  const bool rises_well = m_info.best && *m_info.best == sim::ParetoDirection::kMax;
  return to_qcolor(sim::diverging_colour(rises_well ? -share : share));
}

QString DeltaMapView::change_text(double change) const {
  if (!m_relative) {
    return difference_text(change, m_info);
  }
  return (change > 0.0 ? "+" : "") +
         QString::fromStdString(sim::number_text(change, sim::Unit::kShare));
}

HeadId DeltaMapView::head_of(Cell cell) const {
  return {m_map.layers[cell / m_map.heads.size()], m_map.heads[cell % m_map.heads.size()]};
}

HeadGrid DeltaMapView::grid(const QSizeF& size) const {
  const QFontMetricsF metrics(font());
  double widest = 0.0;
  for (const std::int64_t layer : m_map.layers) {
    widest = std::max(widest, metrics.horizontalAdvance(QString::number(layer)));
  }
  const double left = metrics.height() + widest + 3.0 * kPadding;
  const double scale = kScaleWidth + metrics.horizontalAdvance(change_text(m_largest)) +
                       metrics.horizontalAdvance(QStringLiteral("smaller")) + 3.0 * kPadding;
  const double bottom = 2.0 * metrics.height() + 3.0 * kPadding;
  const double width = std::min(size.width() - left - scale - kPadding,
                                kLargestCell * static_cast<double>(m_map.heads.size()));
  const double height = std::min(size.height() - bottom - kPadding,
                                 kLargestHeight * static_cast<double>(m_map.layers.size()));
  HeadGrid grid{static_cast<int>(m_map.layers.size()), static_cast<int>(m_map.heads.size()), left,
                kPadding};
  grid.cell_width = std::max(width, 1.0) / grid.columns;
  grid.cell_height = std::max(height, 1.0) / grid.rows;
  return grid;
}

QSize DeltaMapView::sizeHint() const {
  const int rows = static_cast<int>(m_map.layers.size());
  return {640, std::clamp(90 + 22 * rows, 220, 620)};
}

QRectF DeltaMapView::rect_of(Cell cell, const HeadGrid& grid) const {
  const auto columns = m_map.heads.size();
  return {grid.x(static_cast<int>(cell % columns)), grid.y(static_cast<int>(cell / columns)),
          grid.cell_width, grid.cell_height};
}

QRectF DeltaMapView::cell_of(const HeadId& head) const {
  for (Cell cell = 0; cell < m_map.values.size(); ++cell) {
    if (head_of(cell) == head) {
      return rect_of(cell, grid(size()));
    }
  }
  return {};
}

std::optional<DeltaMapView::Cell> DeltaMapView::cell_at(const QPointF& place) const {
  if (is_empty()) {
    return std::nullopt;
  }
  const auto cell = grid(size()).cell_at(place.x(), place.y());
  return cell ? std::optional(static_cast<std::size_t>(cell->row) * m_map.heads.size() +
                              static_cast<std::size_t>(cell->column))
              : std::nullopt;
}

void DeltaMapView::draw_scale(QPainter& painter, const QRectF& area) const {
  const QFontMetricsF metrics(font());
  const double height = std::min(area.height(), 160.0);
  const QRectF bar(area.right() + 2.0 * kPadding, area.top(), kScaleWidth,
                   std::max(height, 3.0 * metrics.height()));
  const int steps = static_cast<int>(bar.height());
  for (int i = 0; i < steps; ++i) {
    const double change = m_largest * (1.0 - 2.0 * (i + 0.5) / steps);
    painter.fillRect(QRectF(bar.left(), bar.top() + i, bar.width(), 1.0), colour_of(change));
  }
  const bool rises_well = m_info.best && *m_info.best == sim::ParetoDirection::kMax;
  const QString top = !m_info.best ? QStringLiteral("larger")
                      : rises_well ? QStringLiteral("better")
                                   : QStringLiteral("worse");
  const QString bottom = !m_info.best ? QStringLiteral("smaller")
                         : rises_well ? QStringLiteral("worse")
                                      : QStringLiteral("better");
  painter.setPen(palette().color(QPalette::Text));
  const auto label = [&](double y, const QString& text) {
    painter.drawText(QPointF(bar.right() + kPadding, y), text);
  };
  label(bar.top() + metrics.ascent(), change_text(m_largest) + " " + top);
  label(bar.center().y() + metrics.ascent() / 2, QStringLiteral("0"));
  label(bar.bottom() - metrics.descent(), change_text(-m_largest) + " " + bottom);
}

void DeltaMapView::draw_all(QPainter& painter, const QSizeF& size) const {
  painter.setFont(font());
  const QFontMetricsF metrics(font());
  const HeadGrid cells = grid(size);
  const QRectF area(QPointF(cells.left, cells.top),
                    QPointF(cells.x(cells.columns), cells.y(cells.rows)));
  const QColor text = palette().color(QPalette::Text);
  const Selection& selection = workspace().view().selection();
  const bool query_heads = m_figure.startsWith(QStringLiteral("query_heads/"));
  for (Cell cell = 0; cell < m_map.values.size(); ++cell) {
    const QRectF rect = rect_of(cell, cells);
    const double gap = std::min(1.0, 0.1 * rect.width());
    const QRectF inner = rect.adjusted(0, 0, -gap, -gap);
    const std::optional<double> here = change(cell);
    if (!here) {
      const bool known = m_map.values[cell].baseline || m_map.values[cell].shown;
      painter.fillRect(inner, QBrush(known ? faint_text(palette()) : grid_line(palette()),
                                     known ? Qt::BDiagPattern : Qt::Dense7Pattern));
      continue;
    }
    const QColor colour = colour_of(*here);
    painter.fillRect(inner, colour);
    painter.setPen(to_qcolor(sim::text_colour_on(to_colour(colour))));
    const QString glyph = sign_glyph(*here);
    const QString full = glyph + " " + change_text(*here);
    if (rect.width() > metrics.horizontalAdvance(full) + 4.0 && rect.height() > metrics.height()) {
      painter.drawText(inner, Qt::AlignCenter, full);
    } else if (rect.width() > metrics.horizontalAdvance(glyph) + 1.0 &&
               rect.height() > 0.8 * metrics.height()) {
      painter.drawText(inner, Qt::AlignCenter, glyph);
    }
  }
  // Selected heads of the run's own kind.
  for (Cell cell = 0; !query_heads && cell < m_map.values.size(); ++cell) {
    if (!selection.heads.empty() && selection.contains(head_of(cell))) {
      painter.setPen(QPen(text, 2.0));
      painter.setBrush(Qt::NoBrush);
      painter.drawRect(rect_of(cell, cells).adjusted(0.5, 0.5, -1.5, -1.5));
    }
  }
  painter.setPen(text);
  const auto every = [&](double space, std::size_t count, double needed) {
    return std::max<std::size_t>(
        1, static_cast<std::size_t>(std::ceil(needed * static_cast<double>(count) / space)));
  };
  const std::size_t row_stride = every(area.height(), m_map.layers.size(), metrics.height());
  for (std::size_t row = 0; row < m_map.layers.size(); row += row_stride) {
    const QRectF rect = rect_of(row * m_map.heads.size(), cells);
    painter.drawText(QRectF(0, rect.center().y() - metrics.height() / 2, area.left() - kPadding,
                            metrics.height()),
                     Qt::AlignRight | Qt::AlignVCenter, QString::number(m_map.layers[row]));
  }
  const double label_width = metrics.horizontalAdvance(QString::number(m_map.heads.back())) + 8.0;
  const std::size_t column_stride = every(area.width(), m_map.heads.size(), label_width);
  for (std::size_t column = 0; column < m_map.heads.size(); column += column_stride) {
    const QRectF rect = rect_of(column, cells);
    painter.drawText(QRectF(rect.center().x() - label_width, area.bottom() + kPadding / 2,
                            2.0 * label_width, metrics.height()),
                     Qt::AlignCenter, QString::number(m_map.heads[column]));
  }
  painter.drawText(QRectF(area.left(), area.bottom() + kPadding + metrics.height(), area.width(),
                          metrics.height()),
                   Qt::AlignCenter, m_map.head_name);
  painter.save();
  painter.translate(kPadding / 2, area.bottom());
  painter.rotate(-90);
  painter.drawText(QRectF(0, 0, area.height(), metrics.height()), Qt::AlignCenter,
                   QStringLiteral("layer"));
  painter.restore();
  draw_scale(painter, area);
}

void DeltaMapView::draw(QPaintDevice& device, const QSize& size) {
  if (is_empty()) {
    return;
  }
  QPainter painter(&device);
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  draw_all(painter, size);
}

void DeltaMapView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), palette().color(QPalette::Base));
  if (is_empty()) {
    return;
  }
  draw_all(painter, size());
  painter.setBrush(Qt::NoBrush);
  if (m_cursor) {
    painter.setPen(QPen(palette().color(QPalette::Text), 1.0, Qt::DotLine));
    painter.drawRect(rect_of(*m_cursor, grid(size())).adjusted(1.5, 1.5, -2.5, -2.5));
  }
  if (hasFocus()) {
    painter.setPen(QPen(palette().color(QPalette::Highlight), 1.0));
    painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
  }
}

QString DeltaMapView::text_of(Cell cell) const {
  const HeadId head = head_of(cell);
  const DeltaValue& value = m_map.values[cell];
  QString text =
      QStringLiteral("layer %1, %2 %3: %4 %5 in the baseline, %6 shown")
          .arg(head.layer)
          .arg(m_map.head_name)
          .arg(head.head)
          .arg(m_figure, number_text(m_info, value.baseline), number_text(m_info, value.shown));
  if (const auto difference = value.difference()) {
    text += QStringLiteral("; %1 %2").arg(sign_glyph(*difference),
                                          difference_text(*difference, m_info));
    if (const QString relative = relative_text(value); !relative.isEmpty()) {
      text += QStringLiteral(" (%1)").arg(relative);
    }
    text += ", " + name_of(verdict_of(value, m_info));
  }
  return text;
}

void DeltaMapView::point_at(std::optional<Cell> cell, const QPoint& global) {
  if (cell == m_cursor) {
    return;
  }
  m_cursor = cell;
  update();
  if (cell) {
    QToolTip::showText(global, text_of(*cell), this);
    Q_EMIT hovered(text_of(*cell));
  } else {
    QToolTip::hideText();
    Q_EMIT hovered({});
  }
}

void DeltaMapView::pick_cell(Cell cell, Qt::KeyboardModifiers modifiers) {
  std::vector<HeadId> all;
  for (Cell other = 0; other < m_map.values.size(); ++other) {
    all.push_back(head_of(other));
  }
  const Pick how = modifiers & Qt::ControlModifier ? Pick::kToggle
                   : modifiers & Qt::ShiftModifier ? Pick::kExtend
                                                   : Pick::kReplace;
  workspace().view().select(gui::pick(workspace().view().selection(), head_of(cell), how, all));
}

void DeltaMapView::mousePressEvent(QMouseEvent* event) {
  const auto cell = cell_at(event->position());
  const bool query_heads = m_figure.startsWith(QStringLiteral("query_heads/"));
  if (cell && event->button() == Qt::LeftButton && !query_heads) {
    pick_cell(*cell, event->modifiers());
  }
}

void DeltaMapView::mouseMoveEvent(QMouseEvent* event) {
  point_at(cell_at(event->position()), event->globalPosition().toPoint());
}

void DeltaMapView::leaveEvent(QEvent* event) {
  point_at(std::nullopt, {});
  PlotView::leaveEvent(event);
}

void DeltaMapView::keyPressEvent(QKeyEvent* event) {
  if (is_empty()) {
    PlotView::keyPressEvent(event);
    return;
  }
  const std::size_t columns = m_map.heads.size();
  std::size_t column = m_cursor.value_or(0) % columns;
  std::size_t row = m_cursor.value_or(0) / columns;
  switch (event->key()) {
    case Qt::Key_Left:
      column -= column > 0 ? 1 : 0;
      break;
    case Qt::Key_Right:
      column += column + 1 < columns ? 1 : 0;
      break;
    case Qt::Key_Up:
      row -= row > 0 ? 1 : 0;
      break;
    case Qt::Key_Down:
      row += row + 1 < m_map.layers.size() ? 1 : 0;
      break;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
      if (m_cursor && !m_figure.startsWith(QStringLiteral("query_heads/"))) {
        pick_cell(*m_cursor, event->modifiers());
      }
      return;
    default:
      PlotView::keyPressEvent(event);
      return;
  }
  const Cell cell = row * columns + column;
  point_at(cell, mapToGlobal(rect_of(cell, grid(size())).center().toPoint()));
}

sim::Table DeltaMapView::table() const {
  sim::Table table;
  for (const char* title :
       {"layer", "head", "baseline", "shown", "change", "relative", "verdict"}) {
    table.columns.push_back(
        {.title = title, .numeric = std::string_view(title) != "verdict", .origin = {}});
  }
  for (Cell cell = 0; cell < m_map.values.size(); ++cell) {
    const DeltaValue& value = m_map.values[cell];
    const auto difference = value.difference();
    table.rows.push_back(
        {{.text = std::to_string(head_of(cell).layer)},
         {.text = std::to_string(head_of(cell).head)},
         {.text = number_text(m_info, value.baseline).toStdString()},
         {.text = number_text(m_info, value.shown).toStdString()},
         {.text = difference ? difference_text(*difference, m_info).toStdString() : ""},
         {.text = relative_text(value).toStdString()},
         {.text = name_of(verdict_of(value, m_info)).toStdString()}});
  }
  return table;
}

QString DeltaMapView::csv() const {
  QString csv = QStringLiteral("layer,head,%1 baseline,%1 shown,change\r\n").arg(m_figure);
  for (Cell cell = 0; cell < m_map.values.size(); ++cell) {
    const DeltaValue& value = m_map.values[cell];
    csv += QStringLiteral("%1,%2,%3,%4,%5\r\n")
               .arg(head_of(cell).layer)
               .arg(head_of(cell).head)
               .arg(csv_number(value.baseline), csv_number(value.shown),
                    csv_number(value.difference()));
  }
  return csv;
}

}  // namespace kvsieve::gui
