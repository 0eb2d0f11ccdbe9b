#pragma once
// Points by the thousand, lines and marked points (core/point_chart.h): densities where points are
// many, and every point that is marked as kept.

#include <optional>

#include "core/point_chart.h"
#include "widgets/painted_xy_view.h"

class QPainter;

namespace kvsieve::gui {

/// The walk visits marks and kept points.
class PointView : public PaintedXyView {
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

  [[nodiscard]] XyAxes axes(const QSizeF& size) const override;

 Q_SIGNALS:
  /// A point was clicked, or Enter was pressed on it.
  void picked(const kvsieve::gui::PointRef& point);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void walk(int direction) override;
  void pick_walked(const QKeyEvent& event) override;
  void point_at(const QPointF& place, const QPoint& global) override;
  void click(const QPointF& place, Qt::KeyboardModifiers modifiers) override;

 private:
  void paint(QPainter& painter, const QSize& size) const;
  void paint_frame(QPainter& painter, const XyAxes& axes, const QSize& size) const;
  void paint_legend(QPainter& painter, const XyAxes& axes) const;
  void paint_clouds(QPainter& painter, const XyAxes& axes) const;
  void paint_lines(QPainter& painter, const XyAxes& axes) const;
  void paint_marks(QPainter& painter, const XyAxes& axes) const;
  void paint_rings(QPainter& painter, const XyAxes& axes) const;
  [[nodiscard]] QPointF place_of(const XyAxes& axes, const PointRef& point) const;
  [[nodiscard]] int tick_count(double length, bool wide) const;

  [[nodiscard]] std::vector<PointRef> stops() const;

  std::optional<PointChart> m_chart;
  PointRanges m_everything;
  std::optional<std::int64_t> m_highlight;
  std::optional<PointRef> m_cursor;  ///< of the keyboard
};

}  // namespace kvsieve::gui
