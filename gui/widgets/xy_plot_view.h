#pragma once
// The keys and the wheel of plots with two axes.

#include "core/axis_scale.h"
#include "widgets/plot_view.h"

namespace kvsieve::gui {

/// Base of plots that zoom in x and y. The wheel zooms at the cursor (Ctrl: x alone; Shift pans);
/// arrows, A and D pan, W and S zoom, 0 shows everything, comma and full stop walk the points,
/// Enter picks the one walked to.
class XyPlotView : public PlotView {
  Q_OBJECT
 public:
  using PlotView::PlotView;

  /// As they stand in a drawing of this size.
  [[nodiscard]] virtual XyAxes axes(const QSizeF& size) const = 0;

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;

  /// Shows these ranges, if they can be shown.
  void show_axes(const XyAxes& axes);
  /// Moves on by shares of what is shown; up is positive.
  void pan_by(double x_share, double y_share);

  virtual void walk(int direction) = 0;
  /// Does nothing where nobody walked yet.
  virtual void pick_walked(const QKeyEvent& event) = 0;

 private:
  /// Shows `factor` times as much of the chosen axes; what lies under `at` stays there.
  void zoom_by(double factor, const QPointF& at, bool x, bool y);
};

}  // namespace kvsieve::gui
