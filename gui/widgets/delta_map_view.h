#pragma once
// How much a figure of every head changed between two runs: layers by heads.

#include <QRectF>
#include <optional>
#include <vector>

#include "core/head_grid.h"
#include "core/run_delta.h"
#include "widgets/plot_view.h"

namespace kvsieve::gui {

/// A cell a head: blue where it is better (or smaller, if neither is better), orange where it is
/// worse, grey at zero, with an arrow for the sign; hatched where one run lacks it. A click selects
/// the head in all pages; arrows move, Enter picks.
class DeltaMapView : public PlotView {
  Q_OBJECT
 public:
  explicit DeltaMapView(Workspace& workspace);

  /// @param figure as RunDelta names it @param relative shares of the baseline's values
  void set_map(DeltaMap map, const QString& figure, const MetricInfo& info, bool relative);
  void clear(const QString& empty_text);

  [[nodiscard]] bool is_empty() const override { return m_map.values.empty(); }
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;
  /// Of a head; empty if it is not in the map.
  [[nodiscard]] QRectF cell_of(const HeadId& head) const;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override { return {320, 160}; }

 private:
  /// Index of a cell in the map.
  using Cell = std::size_t;
  [[nodiscard]] HeadGrid grid(const QSizeF& size) const;
  [[nodiscard]] QRectF rect_of(Cell cell, const HeadGrid& grid) const;
  [[nodiscard]] std::optional<Cell> cell_at(const QPointF& place) const;
  [[nodiscard]] HeadId head_of(Cell cell) const;
  /// What the colour shows: the change, absolute or relative.
  [[nodiscard]] std::optional<double> change(Cell cell) const;
  [[nodiscard]] QColor colour_of(double change) const;
  [[nodiscard]] QString change_text(double change) const;
  [[nodiscard]] QString text_of(Cell cell) const;
  void point_at(std::optional<Cell> cell, const QPoint& global);
  void pick_cell(Cell cell, Qt::KeyboardModifiers modifiers);
  void draw_all(QPainter& painter, const QSizeF& size) const;
  void draw_scale(QPainter& painter, const QRectF& grid) const;

  DeltaMap m_map;
  QString m_figure;
  MetricInfo m_info;
  bool m_relative = false;
  double m_largest = 0.0;  ///< of the changes' sizes
  std::optional<Cell> m_cursor;
};

}  // namespace kvsieve::gui
