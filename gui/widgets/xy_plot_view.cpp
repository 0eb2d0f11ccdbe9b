#include "widgets/xy_plot_view.h"

#include <QKeyEvent>
#include <QWheelEvent>
#include <cmath>

namespace kvsieve::gui {
namespace {

constexpr double kZoomStep = 0.8;
constexpr double kPanStep = 0.15;

}  // namespace

void XyPlotView::show_axes(const XyAxes& axes) {
  if (axes.can_be_shown()) {
    workspace().view().set_zoom(id(), Zoom{axes.x.low, axes.x.high, axes.y.low, axes.y.high});
  }
}

void XyPlotView::zoom_by(double factor, const QPointF& at, bool x, bool y) {
  const XyAxes shown = axes(size());
  show_axes(
      {x ? shown.x.zoomed(factor, at.x()) : shown.x, y ? shown.y.zoomed(factor, at.y()) : shown.y});
}

void XyPlotView::pan_by(double x_share, double y_share) {
  const XyAxes shown = axes(size());
  show_axes({shown.x.moved(x_share), shown.y.moved(y_share)});
}

void XyPlotView::keyPressEvent(QKeyEvent* event) {
  if (is_empty()) {
    return PlotView::keyPressEvent(event);
  }
  const QPointF middle = axes(size()).inside().center();
  switch (event->key()) {
    case Qt::Key_Left:
    case Qt::Key_A:
      return pan_by(-kPanStep, 0.0);
    case Qt::Key_Right:
    case Qt::Key_D:
      return pan_by(kPanStep, 0.0);
    case Qt::Key_Up:
      return pan_by(0.0, kPanStep);
    case Qt::Key_Down:
      return pan_by(0.0, -kPanStep);
    case Qt::Key_W:
    case Qt::Key_Plus:
      return zoom_by(kZoomStep, middle, true, true);
    case Qt::Key_S:
    case Qt::Key_Minus:
      return zoom_by(1.0 / kZoomStep, middle, true, true);
    case Qt::Key_0:
      return fit();
    case Qt::Key_Period:
      return walk(1);
    case Qt::Key_Comma:
      return walk(-1);
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
      return pick_walked(*event);
    default:
      PlotView::keyPressEvent(event);
  }
}

void XyPlotView::wheelEvent(QWheelEvent* event) {
  if (is_empty()) {
    return event->ignore();
  }
  // Alt turns a wheel sideways on some platforms.
  const double turns = (event->angleDelta().y() + event->angleDelta().x()) / 120.0;
  if (event->modifiers() & Qt::ShiftModifier) {
    pan_by(-turns * kPanStep, 0.0);
  } else {
    zoom_by(std::pow(kZoomStep, turns), event->position(), true,
            !(event->modifiers() & Qt::ControlModifier));
  }
  event->accept();
}

}  // namespace kvsieve::gui
