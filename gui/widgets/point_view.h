#pragma once
// Points by the thousand, lines and marked points (core/point_chart.h): densities where points are
// many, and every point that is marked as kept.

#include <QRubberBand>
#include <optional>

#include "core/point_chart.h"
#include "widgets/xy_plot_view.h"

class QPainter;

namespace kvsieve::gui {

/// The walk visits marks and kept points. A drag zooms into a box, Shift+drag pans.
class PointView : public XyPlotView {
  Q_OBJECT
 public:
  PointView(QString id, QString title, Workspace& workspace);

  /// @param origin "captured", "modelled" or "measured" @param note how to read it
  void set_chart(PointChart chart, const QString& origin, const QString& note);
  void clear(const QString& empty_text);
  /// Rings the points of this id, or none.
  void set_highlight(std::optional<std::int64_t> id);

  [[nodiscard]] const std::optional<PointChart>& chart() const noexcept { return m_chart; }
  [[nodiscard]] bool is_empty() const override { return !m_chart; }
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;
  [[nodiscard]] QSize minimumSizeHint() const override;

  /// Axes as they stand in a drawing of this size.
  struct Axes {
    AxisScale x;
    AxisScale y;
  };
  [[nodiscard]] Axes axes(const QSize& size) const;

 public Q_SLOTS:
  void fit() override;

 Q_SIGNALS:
  /// A point was clicked, or Enter was pressed on it.
  void picked(const kvsieve::gui::PointRef& point);

 protected:
  bool event(QEvent* event) override;
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  [[nodiscard]] QPointF middle() const override;
  void zoom_by(double factor, const QPointF& at, bool x, bool y) override;
  void pan_by(double x_share, double y_share) override;
  void walk(int direction) override;
  void pick_walked(const QKeyEvent& event) override;

 private:
  void paint(QPainter& painter, const QSize& size) const;
  void paint_frame(QPainter& painter, const Axes& axes, const QSize& size) const;
  void paint_legend(QPainter& painter, const Axes& axes) const;
  void paint_clouds(QPainter& painter, const Axes& axes) const;
  void paint_lines(QPainter& painter, const Axes& axes) const;
  void paint_marks(QPainter& painter, const Axes& axes) const;
  void paint_rings(QPainter& painter, const Axes& axes) const;
  [[nodiscard]] QPointF place_of(const Axes& axes, const PointRef& point) const;
  [[nodiscard]] int tick_count(double length, bool wide) const;

  void store(const Axes& axes);
  void point_at(const QPointF& position);
  [[nodiscard]] std::vector<PointRef> stops() const;

  std::optional<PointChart> m_chart;
  PointRanges m_everything;
  std::optional<std::int64_t> m_highlight;
  std::optional<PointRef> m_cursor;  ///< of the keyboard
  QRubberBand m_band;
  std::optional<QPointF> m_pressed;
};

}  // namespace kvsieve::gui
