#include "widgets/pareto_view.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>

#include "core/qt_text.h"
#include "widgets/pareto_painter.h"

namespace kvsieve::gui {
namespace {

constexpr int kReach = 10;  // pixels around a point that belong to it

}  // namespace

ParetoView::ParetoView(Workspace& workspace)
    : PaintedXyView(QStringLiteral("sweep.pareto"), QStringLiteral("Pareto chart"), workspace) {
  set_empty_text(QStringLiteral("Open a sweep store to see its points"));
  connect(&workspace.view(), &ViewStack::selection_changed, this, &ParetoView::read_selection);
  connect(&workspace.view(), &ViewStack::zoom_changed, this, &ParetoView::forget_layer);
}

void ParetoView::show_points(std::shared_ptr<const SweepArrangement> arrangement,
                             const ParetoLook& look) {
  if (!m_points.look.x.empty() && !look.same_axes(m_points.look)) {
    fit();
  }
  m_points = pareto_points(std::move(arrangement), look);
  m_cursor.reset();
  set_title(QStringLiteral("%1 against %2").arg(qs(look.y), qs(look.x)));
  set_origin(m_points.origin());
  set_note(m_points.note());
  set_empty_text(QStringLiteral("No shown row has both %1 and %2: choose other axes, or clear the "
                                "filter")
                     .arg(qs(look.x), qs(look.y)));
  read_selection();
}

void ParetoView::clear(const QString& empty_text) {
  ParetoPoints none;
  none.look = m_points.look;
  m_points = std::move(none);
  m_cursor.reset();
  set_empty_text(empty_text);
  forget_layer();
  Q_EMIT content_changed();
}

void ParetoView::read_selection() {
  m_points.mark(workspace().view().selection().points);
  forget_layer();
  Q_EMIT content_changed();
}

void ParetoView::forget_layer() {
  m_layer = {};
  update();
}

XyAxes ParetoView::axes(const QSizeF& size) const {
  return ParetoPainter(m_points, font(), palette()).axes(size, zoomed({m_points.x, m_points.y}));
}

void ParetoView::paint(QPainter& painter, const QSizeF& size) const {
  ParetoPainter(m_points, font(), palette()).paint(painter, size, axes(size));
}

void ParetoView::draw(QPaintDevice& device, const QSize& size) {
  if (is_empty()) {
    return;
  }
  QPainter painter(&device);
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  paint(painter, size);
}

void ParetoView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  if (is_empty()) {
    painter.fillRect(rect(), palette().color(QPalette::Base));
    return;
  }
  const QSize pixels = size() * devicePixelRatioF();
  if (m_layer.size() != pixels) {
    m_layer = QImage(pixels, QImage::Format_ARGB32_Premultiplied);
    m_layer.setDevicePixelRatio(devicePixelRatioF());
    m_layer.fill(palette().color(QPalette::Base));
    QPainter layer(&m_layer);
    paint(layer, size());
  }
  painter.drawImage(QPointF(0, 0), m_layer);
  painter.setRenderHint(QPainter::Antialiasing, true);
  if (m_cursor) {
    painter.setPen(QPen(palette().color(QPalette::Text), 1.5));
    painter.drawEllipse(pixel_of(*m_cursor), 9.0, 9.0);
  }
  paint_drag_and_focus(painter);
}

QPointF ParetoView::pixel_of(std::size_t index) const {
  return axes(size()).pixel(m_points.points[index].x, m_points.points[index].y);
}

std::optional<std::size_t> ParetoView::nearest(const QPointF& place) const {
  if (is_empty()) {
    return std::nullopt;
  }
  const XyAxes shown = axes(size());
  const bool inside = shown.inside().adjusted(-kReach, -kReach, kReach, kReach).contains(place);
  return inside ? m_points.nearest(shown, place, kReach) : std::nullopt;
}

std::optional<QPointF> ParetoView::position_of(std::uint32_t row) const {
  const auto found = std::find_if(m_points.points.begin(), m_points.points.end(),
                                  [&](const ParetoPoint& point) { return point.row == row; });
  if (found == m_points.points.end()) {
    return std::nullopt;
  }
  return axes(size()).pixel(found->x, found->y);
}

std::optional<std::uint32_t> ParetoView::row_at(const QPointF& place) const {
  const auto index = nearest(place);
  return index ? std::optional(m_points.points[*index].row) : std::nullopt;
}

void ParetoView::move_cursor(std::optional<std::size_t> index, const QPoint& global) {
  if (index == m_cursor) {
    return;
  }
  m_cursor = index;
  update();
  if (index) {
    const QString text = m_points.text_of(m_points.points[*index]);
    QString lines = text;
    lines.replace(QStringLiteral("; "), QStringLiteral("\n"));
    QToolTip::showText(global, lines, this);
    Q_EMIT hovered(text);
  } else {
    QToolTip::hideText();
    Q_EMIT hovered({});
  }
}

void ParetoView::point_at(const QPointF& place, const QPoint& global) {
  move_cursor(nearest(place), global);
}

void ParetoView::pick(std::size_t index, bool toggle) {
  const std::int64_t number = m_points.number_of(m_points.points[index]);
  const Selection& selection = workspace().view().selection();
  workspace().view().select(toggle ? toggle_point(selection, number)
                                   : select_points(selection, {number}, false));
}

void ParetoView::click(const QPointF& place, Qt::KeyboardModifiers modifiers) {
  const bool control = modifiers & Qt::ControlModifier;
  if (const auto index = nearest(place)) {
    pick(*index, control);
  } else if (!control) {
    workspace().view().select(select_points(workspace().view().selection(), {}, false));
  }
}

bool ParetoView::selects(Qt::KeyboardModifiers modifiers) const {
  return !(modifiers & Qt::AltModifier);
}

void ParetoView::select_box(const QRectF& box, Qt::KeyboardModifiers modifiers) {
  const XyAxes shown = axes(size());
  std::vector<std::int64_t> numbers;
  for (const ParetoPoint& point : m_points.points) {
    if (box.contains(shown.pixel(point.x, point.y))) {
      numbers.push_back(m_points.number_of(point));
    }
  }
  workspace().view().select(select_points(workspace().view().selection(), std::move(numbers),
                                          modifiers & Qt::ControlModifier));
}

void ParetoView::mouseDoubleClickEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) {
    return;
  }
  if (const auto row = row_at(event->position())) {
    Q_EMIT opened(*row);
  } else {
    fit();
  }
}

void ParetoView::walk(int direction) {
  // From left to right, so that the steps go one way.
  const std::vector<std::size_t> order = m_points.by_x();
  auto place = std::ptrdiff_t{direction > 0 ? 0 : std::ssize(order) - 1};
  if (m_cursor) {
    place = std::find(order.begin(), order.end(), *m_cursor) - order.begin() + direction;
  }
  place = std::clamp(place, std::ptrdiff_t{0}, std::ssize(order) - 1);
  const std::size_t index = order[static_cast<std::size_t>(place)];
  move_cursor(index, mapToGlobal(pixel_of(index).toPoint()));
}

void ParetoView::pick_walked(const QKeyEvent& event) {
  if (!m_cursor) {
    return;
  }
  const bool control = event.modifiers() & Qt::ControlModifier;
  if (control && event.key() != Qt::Key_Space) {
    Q_EMIT opened(m_points.points[*m_cursor].row);
  } else {
    pick(*m_cursor, control);
  }
}

void ParetoView::leaveEvent(QEvent* event) {
  move_cursor(std::nullopt, {});
  PaintedXyView::leaveEvent(event);
}

void ParetoView::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    forget_layer();
  }
  PaintedXyView::changeEvent(event);
}

}  // namespace kvsieve::gui
