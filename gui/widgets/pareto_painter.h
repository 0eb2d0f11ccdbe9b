#pragma once
// Draws points of a sweep: axes, a mark a point, the front, and a legend of colours and shapes.

#include <QFont>
#include <QPainter>
#include <QPalette>

#include "core/pareto_points.h"

namespace kvsieve::gui {

/// For one drawing: refers to the points, which must outlive it.
class ParetoPainter {
 public:
  ParetoPainter(const ParetoPoints& points, const QFont& font, const QPalette& palette);

  /// The ranges where they stand in a drawing of this size; the legend is to the right of them.
  [[nodiscard]] XyAxes axes(const QSizeF& size, XyAxes ranges) const;
  void paint(QPainter& painter, const QSizeF& size, const XyAxes& axes) const;

 private:
  [[nodiscard]] double legend_width() const;
  void paint_axes(QPainter& painter, const XyAxes& axes, double height) const;
  void paint_points(QPainter& painter, const XyAxes& axes) const;
  void paint_front(QPainter& painter, const XyAxes& axes) const;
  void paint_legend(QPainter& painter, const QRectF& area) const;
  /// One of an option's colours or shapes, or of both; the height below it.
  [[nodiscard]] double paint_legend_of(QPainter& painter, QRectF area, const std::string& option,
                                       bool colours, bool shapes) const;
  [[nodiscard]] QColor colour_of(std::size_t category) const;

  const ParetoPoints& m_points;
  QFont m_font;
  QPalette m_palette;
};

}  // namespace kvsieve::gui
