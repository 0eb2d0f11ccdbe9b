#pragma once
// Points of a sweep on two metrics, with the front that no other point beats.

#include <QImage>
#include <QRectF>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/axis_scale.h"
#include "core/sweep_arrangement.h"
#include "core/sweep_categories.h"
#include "widgets/xy_plot_view.h"

namespace kvsieve::gui {

/// What the chart shows of a sweep.
struct ParetoLook {
  std::string x;  ///< metrics
  std::string y;
  bool log_x = false;
  bool log_y = false;
  std::string colour;  ///< an option, or empty for one colour
  std::string shape;   ///< an option, or empty for the one of the colour

  bool operator==(const ParetoLook&) const = default;
};

/// A drag selects the points in a box (Ctrl adds), a click the nearest one, a double click or
/// Ctrl+Enter opens it; Alt+drag zooms into a box, Shift+drag and middle drag pan. Selected points
/// are those of the workspace's selection.
class ParetoView : public XyPlotView {
  Q_OBJECT
 public:
  explicit ParetoView(Workspace& workspace);

  void show_points(std::shared_ptr<const SweepArrangement> arrangement, const ParetoLook& look);
  void clear(const QString& empty_text);

  [[nodiscard]] bool is_empty() const override { return m_points.empty(); }
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;

  /// Where a row of the sweep is drawn; nothing if it is not.
  [[nodiscard]] std::optional<QPointF> position_of(std::uint32_t row) const;
  /// The row of the point nearest to a place, within reach of the mouse.
  [[nodiscard]] std::optional<std::uint32_t> row_at(const QPointF& place) const;

 Q_SIGNALS:
  /// Double click or Ctrl+Enter: a row of the sweep.
  void opened(std::uint32_t row);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void changeEvent(QEvent* event) override;
  [[nodiscard]] QPointF middle() const override;
  void zoom_by(double factor, const QPointF& at, bool x, bool y) override;
  void pan_by(double x_share, double y_share) override;
  void walk(int direction) override;
  void pick_walked(const QKeyEvent& event) override;
  [[nodiscard]] QSize sizeHint() const override { return {520, 420}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {320, 240}; }

 private:
  struct Point {
    std::uint32_t row = 0;
    double x = 0.0;  ///< in the unit of the axis
    double y = 0.0;
    std::size_t colour = 0;
    std::size_t shape = 0;
    bool on_front = false;
    bool selected = false;
  };
  struct Layout {
    AxisScale x;
    AxisScale y;
    QRectF plot;
    QRectF legend;
  };
  enum class Drag { kNone, kBrush, kZoom, kPan };

  void read_points();
  void read_selection();
  void forget_layer();
  [[nodiscard]] Layout layout(const QSizeF& size) const;
  [[nodiscard]] Layout layout() const { return layout(size()); }
  void draw_axes(QPainter& painter, const Layout& layout) const;
  void draw_points(QPainter& painter, const Layout& layout) const;
  void draw_front(QPainter& painter, const Layout& layout) const;
  /// Categories of drawn points, at most as many as a legend lists, and how many more there are.
  [[nodiscard]] std::pair<std::vector<std::size_t>, int> legend_entries(
      const SweepCategories& categories, std::size_t Point::*category) const;
  void draw_legend(QPainter& painter, const Layout& layout) const;
  void draw_all(QPainter& painter, const QSizeF& size) const;
  [[nodiscard]] QColor colour_of(std::size_t category) const;
  [[nodiscard]] std::optional<std::size_t> nearest(const QPointF& place) const;
  [[nodiscard]] QString text_of(const Point& point) const;
  void point_at(std::optional<std::size_t> index, const QPoint& global);
  void pick(std::vector<std::int64_t> numbers, bool add, bool toggle);
  void set_axes(const AxisScale& x, const AxisScale& y);

  std::shared_ptr<const SweepArrangement> m_arrangement;
  ParetoLook m_look;
  SweepCategories m_colours;
  SweepCategories m_shapes;
  std::vector<Point> m_points;
  std::vector<std::size_t> m_front;  ///< indices of points, by x
  bool m_has_selection = false;
  AxisScale m_everything_x;
  AxisScale m_everything_y;
  QImage m_layer;                       ///< everything but what follows the mouse
  std::optional<std::size_t> m_cursor;  ///< index of the point under the mouse or the keyboard's
  Drag m_drag = Drag::kNone;
  QPointF m_pressed;
  QPointF m_dragged;
};

}  // namespace kvsieve::gui
