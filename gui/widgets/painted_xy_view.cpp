#include "widgets/painted_xy_view.h"

#include <QApplication>
#include <QMouseEvent>
#include <utility>

namespace kvsieve::gui {

PaintedXyView::PaintedXyView(QString id, QString title, Workspace& workspace)
    : XyPlotView(std::move(id), std::move(title), workspace) {
  setMouseTracking(true);
}

XyAxes PaintedXyView::zoomed(XyAxes everything) const {
  if (const std::optional<Zoom> zoom = workspace().view().zoom(id())) {
    everything.x.low = zoom->x_low;
    everything.x.high = zoom->x_high;
    everything.y.low = zoom->y_low;
    everything.y.high = zoom->y_high;
  }
  return everything;
}

bool PaintedXyView::selects(Qt::KeyboardModifiers /*modifiers*/) const {
  return false;
}

void PaintedXyView::select_box(const QRectF& /*box*/, Qt::KeyboardModifiers /*modifiers*/) {}

void PaintedXyView::paint_drag_and_focus(QPainter& painter) const {
  const QColor highlight = palette().color(QPalette::Highlight);
  if (m_drag == Drag::kSelect || m_drag == Drag::kZoom) {
    QColor inside = highlight;
    inside.setAlphaF(m_drag == Drag::kSelect ? 0.15F : 0.0F);
    painter.setPen(QPen(highlight, 1.0, m_drag == Drag::kSelect ? Qt::SolidLine : Qt::DashLine));
    painter.setBrush(inside);
    painter.drawRect(QRectF(m_pressed, m_dragged).normalized());
  }
  if (hasFocus()) {
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(highlight, 1.0));
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
  }
}

void PaintedXyView::mousePressEvent(QMouseEvent* event) {
  const bool left = event->button() == Qt::LeftButton;
  if (is_empty() || (!left && event->button() != Qt::MiddleButton)) {
    return;
  }
  m_pressed = event->position();
  m_dragged = m_pressed;
  m_drag = !left || event->modifiers() & Qt::ShiftModifier ? Drag::kPan
           : selects(event->modifiers())                   ? Drag::kSelect
                                                           : Drag::kZoom;
}

void PaintedXyView::mouseMoveEvent(QMouseEvent* event) {
  if (is_empty()) {
    return;
  }
  const QPointF place = event->position();
  if (m_drag == Drag::kNone) {
    return point_at(place, event->globalPosition().toPoint());
  }
  if (m_drag == Drag::kPan) {
    const QRectF inside = axes(size()).inside();
    const QPointF moved = place - m_dragged;
    pan_by(-moved.x() / inside.width(), moved.y() / inside.height());
  }
  m_dragged = place;
  update();
}

void PaintedXyView::mouseReleaseEvent(QMouseEvent* event) {
  const Drag drag = std::exchange(m_drag, Drag::kNone);
  update();
  if (drag == Drag::kNone || drag == Drag::kPan || is_empty()) {
    return;
  }
  const QRectF box = QRectF(m_pressed, event->position()).normalized();
  const double least = QApplication::startDragDistance() / 2.0;
  if (box.width() < least && box.height() < least) {
    return click(event->position(), event->modifiers());
  }
  if (drag == Drag::kSelect) {
    return select_box(box, event->modifiers());
  }
  const XyAxes shown = axes(size());
  if (const QRectF part = box.intersected(shown.inside());
      part.width() >= least && part.height() >= least) {
    show_axes(shown.within(part));
  }
}

void PaintedXyView::mouseDoubleClickEvent(QMouseEvent* /*event*/) {
  fit();
}

}  // namespace kvsieve::gui
