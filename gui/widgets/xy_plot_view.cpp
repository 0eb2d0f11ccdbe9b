#include "widgets/xy_plot_view.h"

#include <QKeyEvent>
#include <QWheelEvent>
#include <cmath>

namespace kvsieve::gui {
namespace {

constexpr double kZoomStep = 0.8;
constexpr double kPanStep = 0.15;

}  // namespace

void XyPlotView::keyPressEvent(QKeyEvent* event) {
  if (is_empty()) {
    return PlotView::keyPressEvent(event);
  }
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
      return zoom_by(kZoomStep, middle(), true, true);
    case Qt::Key_S:
    case Qt::Key_Minus:
      return zoom_by(1.0 / kZoomStep, middle(), true, true);
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
