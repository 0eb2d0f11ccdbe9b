#pragma once
// Points of a sweep on two metrics (core/pareto_points.h), to look at and to choose from.

#include <QImage>
#include <memory>
#include <optional>
#include <vector>

#include "core/pareto_points.h"
#include "widgets/painted_xy_view.h"

namespace kvsieve::gui {

/// A drag selects the points in a box (Ctrl adds), a click the nearest one (Ctrl toggles it), a
/// double click or Ctrl+Enter opens it; Alt+drag zooms into a box. Selected points are those of the
/// workspace's selection.
class ParetoView : public PaintedXyView {
  Q_OBJECT
 public:
  explicit ParetoView(Workspace& workspace);

  void show_points(std::shared_ptr<const SweepArrangement> arrangement, const ParetoLook& look);
  void clear(const QString& empty_text);

  [[nodiscard]] bool is_empty() const override { return m_points.points.empty(); }
  [[nodiscard]] sim::Table table() const override { return m_points.table(); }
  [[nodiscard]] QString csv() const override { return m_points.csv(); }
  void draw(QPaintDevice& device, const QSize& size) override;
  [[nodiscard]] XyAxes axes(const QSizeF& size) const override;

  /// Where a row of the sweep is drawn; nothing if it is not.
  [[nodiscard]] std::optional<QPointF> position_of(std::uint32_t row) const;
  /// The row of the point nearest to a place, within reach of the mouse.
  [[nodiscard]] std::optional<std::uint32_t> row_at(const QPointF& place) const;

 Q_SIGNALS:
  /// Double click or Ctrl+Enter: a row of the sweep.
  void opened(std::uint32_t row);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void changeEvent(QEvent* event) override;
  void walk(int direction) override;
  void pick_walked(const QKeyEvent& event) override;
  void point_at(const QPointF& place, const QPoint& global) override;
  void click(const QPointF& place, Qt::KeyboardModifiers modifiers) override;
  [[nodiscard]] bool selects(Qt::KeyboardModifiers modifiers) const override;
  void select_box(const QRectF& box, Qt::KeyboardModifiers modifiers) override;
  [[nodiscard]] QSize sizeHint() const override { return {520, 420}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {320, 240}; }

 private:
  void read_selection();
  void forget_layer();
  void paint(QPainter& painter, const QSizeF& size) const;
  [[nodiscard]] QPointF pixel_of(std::size_t index) const;
  [[nodiscard]] std::optional<std::size_t> nearest(const QPointF& place) const;
  void move_cursor(std::optional<std::size_t> index, const QPoint& global);
  /// Selects a point alone, or toggles it.
  void pick(std::size_t index, bool toggle);

  ParetoPoints m_points;
  QImage m_layer;                       ///< everything but what follows the mouse
  std::optional<std::size_t> m_cursor;  ///< index of the point under the mouse or the keyboard's
};

}  // namespace kvsieve::gui
