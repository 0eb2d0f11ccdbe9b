#pragma once
// The drags of plots that paint their points and both axes themselves.

#include <QPainter>

#include "widgets/xy_plot_view.h"

namespace kvsieve::gui {

/// A drag zooms into its box, unless it selects what lies there; Shift+drag and middle drag pan; a
/// double click shows everything.
class PaintedXyView : public XyPlotView {
  Q_OBJECT
 public:
  PaintedXyView(QString id, QString title, Workspace& workspace);

 protected:
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;

  /// `everything` with the ranges that the history has for this plot.
  [[nodiscard]] XyAxes zoomed(XyAxes everything) const;
  /// The box of a drag that goes on, and the frame of the focus.
  void paint_drag_and_focus(QPainter& painter) const;

  /// The mouse moved to a place with no button down.
  virtual void point_at(const QPointF& place, const QPoint& global) = 0;
  virtual void click(const QPointF& place, Qt::KeyboardModifiers modifiers) = 0;
  /// Whether a drag with these modifiers selects.
  [[nodiscard]] virtual bool selects(Qt::KeyboardModifiers modifiers) const;
  virtual void select_box(const QRectF& box, Qt::KeyboardModifiers modifiers);

 private:
  enum class Drag { kNone, kSelect, kZoom, kPan };

  Drag m_drag = Drag::kNone;
  QPointF m_pressed;
  QPointF m_dragged;
};

}  // namespace kvsieve::gui
