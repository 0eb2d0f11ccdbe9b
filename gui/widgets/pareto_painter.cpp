#include "widgets/pareto_painter.h"

#include <QFontMetricsF>
#include <QImage>
#include <QPaintEngine>
#include <QPolygonF>
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "core/metric_info.h"
#include "core/qt_text.h"
#include "widgets/point_marks.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr std::size_t kColours = 8;
constexpr std::size_t kVectorPoints = 20'000;  // beyond, an SVG holds the points as an image
constexpr double kUnselected = 0.25;           // opacity
constexpr double kPadding = 6.0;

/// How many ticks a chart of this height has upwards.
int ticks_up(double height) {
  return std::max(2, static_cast<int>(height / 55.0));
}

double radius_of(std::size_t points) {
  return points > 20'000 ? 2.2 : points > 2'000 ? 3.2 : 4.5;
}

bool is_vector(const QPainter& painter) {
  return painter.paintEngine() != nullptr && painter.paintEngine()->type() == QPaintEngine::SVG;
}

}  // namespace

ParetoPainter::ParetoPainter(const ParetoPoints& points, const QFont& font, const QPalette& palette)
    : m_points(points), m_font(font), m_palette(palette) {}

double ParetoPainter::legend_width() const {
  const ParetoLook& look = m_points.look;
  if (look.colour.empty() && look.shape.empty()) {
    return 0.0;
  }
  const QFontMetricsF metrics(m_font);
  double widest = 0.0;
  for (const auto& [categories, category] : {std::pair(&m_points.colours, &ParetoPoint::colour),
                                             std::pair(&m_points.shapes, &ParetoPoint::shape)}) {
    for (const std::size_t entry : m_points.legend(*categories, category).entries) {
      const QString& name = categories->names[static_cast<qsizetype>(entry)];
      widest = std::max(widest, metrics.horizontalAdvance(name) + 22.0);
    }
  }
  for (const std::string& name : {look.colour, look.shape}) {
    widest = std::max(widest, metrics.horizontalAdvance(qs(name)) + 4.0);
  }
  return widest;
}

XyAxes ParetoPainter::axes(const QSizeF& size, XyAxes ranges) const {
  const QFontMetricsF metrics(m_font);
  double widest = 0.0;
  const sim::Unit y_unit = metric_info(m_points.look.y).unit;
  const int up = ticks_up(size.height());
  for (const double tick : ranges.y.ticks(y_unit, up)) {
    const QString label = qs(ranges.y.tick_text(tick, y_unit, up));
    widest = std::max(widest, metrics.horizontalAdvance(label));
  }
  double legend = legend_width();
  if (legend > 0.0) {
    legend = std::min(legend, 0.3 * size.width()) + 2.0 * kPadding;
  }
  const double line = metrics.height();
  ranges.x.from = line + widest + 3.0 * kPadding;
  ranges.x.to = size.width() - legend - 2.0 * kPadding;
  ranges.y.from = size.height() - (2.0 * line + 3.0 * kPadding);
  ranges.y.to = kPadding;
  return ranges;
}

void ParetoPainter::paint(QPainter& painter, const QSizeF& size, const XyAxes& axes) const {
  painter.setFont(m_font);
  const QRectF plot = axes.inside();
  paint_axes(painter, axes, size.height());
  painter.save();
  painter.setClipRect(plot);
  if (is_vector(painter) && m_points.points.size() > kVectorPoints) {
    constexpr double kScale = 2.0;
    QImage image((size * kScale).toSize(), QImage::Format_ARGB32_Premultiplied);
    image.setDevicePixelRatio(kScale);
    image.fill(Qt::transparent);
    QPainter to(&image);
    to.setClipRect(plot);
    paint_points(to, axes);
    to.end();
    painter.drawImage(QPointF(0, 0), image);
  } else {
    paint_points(painter, axes);
  }
  paint_front(painter, axes);
  painter.restore();
  const double left = plot.right() + 2.0 * kPadding;
  paint_legend(painter, {left, kPadding, size.width() - left, size.height()});
}

QColor ParetoPainter::colour_of(std::size_t category) const {
  const auto count = static_cast<std::size_t>(m_points.colours.names.size());
  if (count > kColours && m_points.colours.numeric) {
    // Many numbers are a scale, not a set of names; its ends would vanish on one of the grounds.
    const double share = static_cast<double>(category) / static_cast<double>(count - 1);
    return to_qcolor(
        sim::sequential_colour(is_dark(m_palette) ? 0.25 + 0.75 * share : 0.8 * share));
  }
  return category_colour(category, m_palette);
}

void ParetoPainter::paint_axes(QPainter& painter, const XyAxes& axes, double height) const {
  const QFontMetricsF metrics(m_font);
  const QRectF plot = axes.inside();
  const QColor text = m_palette.color(QPalette::Text);
  const QColor grid = grid_line(m_palette);
  painter.setRenderHint(QPainter::Antialiasing, false);
  const int across = std::max(2, static_cast<int>(plot.width() / 90.0));
  double free_from = -1e9;
  const sim::Unit x_unit = metric_info(m_points.look.x).unit;
  for (const double tick : axes.x.ticks(x_unit, across)) {
    const double x = axes.x.pixel(tick);
    painter.setPen(grid);
    painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
    const QString label = qs(axes.x.tick_text(tick, x_unit, across));
    const double width = metrics.horizontalAdvance(label);
    if (x - width / 2 > free_from && x + width / 2 < plot.right() + 2.0 * kPadding) {
      painter.setPen(text);
      painter.drawText(
          QRectF(x - width / 2 - 1, plot.bottom() + kPadding, width + 2, metrics.height()),
          Qt::AlignCenter, label);
      free_from = x + width / 2 + kPadding;
    }
  }
  const sim::Unit y_unit = metric_info(m_points.look.y).unit;
  const int up = ticks_up(height);
  for (const double tick : axes.y.ticks(y_unit, up)) {
    const double y = axes.y.pixel(tick);
    painter.setPen(grid);
    painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
    painter.setPen(text);
    painter.drawText(QRectF(0, y - metrics.height() / 2, plot.left() - kPadding, metrics.height()),
                     Qt::AlignRight | Qt::AlignVCenter, qs(axes.y.tick_text(tick, y_unit, up)));
  }
  painter.setPen(faint_text(m_palette));
  painter.drawRect(plot);
  painter.setPen(text);
  painter.drawText(QRectF(plot.left(), plot.bottom() + 2.0 * kPadding + metrics.height(),
                          plot.width(), metrics.height()),
                   Qt::AlignCenter,
                   metrics.elidedText(m_points.x_title(), Qt::ElideMiddle, plot.width()));
  painter.save();
  painter.translate(kPadding, plot.bottom());
  painter.rotate(-90);
  painter.drawText(QRectF(0, 0, plot.height(), metrics.height()), Qt::AlignCenter,
                   metrics.elidedText(m_points.y_title(), Qt::ElideMiddle, plot.height()));
  painter.restore();
}

void ParetoPainter::paint_points(QPainter& painter, const XyAxes& axes) const {
  const std::vector<ParetoPoint>& points = m_points.points;
  const double radius = radius_of(points.size());
  const bool vector = is_vector(painter);
  const QRectF visible = axes.inside().adjusted(-radius, -radius, radius, radius);
  const QColor outline = m_palette.color(QPalette::Base);
  // A mark is painted once and copied: a hundred thousand of them take some ten milliseconds.
  const double scale = painter.device()->devicePixelRatioF();
  const int side = static_cast<int>(std::ceil(2.0 * (1.3 * radius + 1.5)));
  std::map<std::pair<std::size_t, std::size_t>, QImage> marks;
  const auto paint_mark = [&](QPainter& to, const ParetoPoint& point) {
    to.setPen(QPen(outline, 0.7));
    to.setBrush(colour_of(point.colour));
    to.drawPath(point_mark(point.shape, radius));
  };
  painter.setRenderHint(QPainter::Antialiasing, true);
  const auto draw_one = [&](const ParetoPoint& point, const QPointF& at) {
    if (vector) {
      painter.save();
      painter.translate(at);
      paint_mark(painter, point);
      painter.restore();
      return;
    }
    QImage& image = marks[{point.colour, point.shape % kMarkShapes}];
    if (image.isNull()) {
      image = QImage(QSize(side, side) * scale, QImage::Format_ARGB32_Premultiplied);
      image.setDevicePixelRatio(scale);
      image.fill(Qt::transparent);
      QPainter sprite(&image);
      sprite.setRenderHint(QPainter::Antialiasing, true);
      sprite.translate(side / 2.0, side / 2.0);
      paint_mark(sprite, point);
    }
    painter.drawImage(QPointF(std::round((at.x() - side / 2.0) * scale) / scale,
                              std::round((at.y() - side / 2.0) * scale) / scale),
                      image);
  };
  for (const bool selected : {false, true}) {
    painter.setOpacity(selected || !m_points.has_selection ? 1.0 : kUnselected);
    for (const ParetoPoint& point : points) {
      if (point.selected != selected) {
        continue;
      }
      const QPointF at = axes.pixel(point.x, point.y);
      if (visible.contains(at)) {
        draw_one(point, at);
      }
    }
  }
  painter.setOpacity(1.0);
}

void ParetoPainter::paint_front(QPainter& painter, const XyAxes& axes) const {
  const std::vector<ParetoPoint>& points = m_points.points;
  const std::vector<std::size_t>& front = m_points.front;
  const QColor text = m_palette.color(QPalette::Text);
  QPolygonF line;
  for (const std::size_t index : front) {
    line << axes.pixel(points[index].x, points[index].y);
  }
  painter.setRenderHint(QPainter::Antialiasing, true);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(text, 1.5, Qt::DashLine));
  painter.drawPolyline(line);
  // Thousands of large marks would hide each other and all others.
  const double radius = radius_of(points.size()) + (front.size() > 500 ? 1.0 : 2.5);
  for (std::size_t i = 0; i < front.size(); ++i) {
    const ParetoPoint& point = points[front[i]];
    painter.setOpacity(point.selected || !m_points.has_selection ? 1.0 : 0.5);
    painter.save();
    painter.translate(line[static_cast<qsizetype>(i)]);
    painter.setPen(QPen(text, 1.3));
    painter.setBrush(colour_of(point.colour));
    painter.drawPath(point_mark(point.shape, radius));
    painter.restore();
  }
  painter.setOpacity(1.0);
}

void ParetoPainter::paint_legend(QPainter& painter, const QRectF& area) const {
  const ParetoLook& look = m_points.look;
  const bool one = look.shape.empty() || look.shape == look.colour;
  QRectF left = area;
  if (!look.colour.empty()) {
    left.setTop(paint_legend_of(painter, left, look.colour, true, one));
  }
  if (!one) {
    left.setTop(paint_legend_of(painter, left, look.shape, false, true));
  }
}

double ParetoPainter::paint_legend_of(QPainter& painter, QRectF area, const std::string& option,
                                      bool colours, bool shapes) const {
  constexpr double kNamesFrom = 18.0;
  const QFontMetricsF metrics(m_font);
  const QColor text = m_palette.color(QPalette::Text);
  const auto line = [&](double from, const QString& words) {
    const QRectF place(area.left() + from, area.top(), area.width() - from, metrics.height());
    painter.drawText(place, Qt::AlignLeft | Qt::AlignVCenter,
                     metrics.elidedText(words, Qt::ElideRight, place.width()));
  };
  painter.setPen(faint_text(m_palette));
  line(0.0, qs(option));
  area.setTop(area.top() + metrics.height() + 2.0);
  const SweepCategories& categories = colours ? m_points.colours : m_points.shapes;
  const ParetoLegend legend =
      m_points.legend(categories, colours ? &ParetoPoint::colour : &ParetoPoint::shape);
  for (const std::size_t category : legend.entries) {
    painter.save();
    painter.translate(area.left() + 7.0, area.top() + metrics.height() / 2);
    painter.setRenderHint(QPainter::Antialiasing, true);
    painter.setPen(colours ? Qt::NoPen : QPen(text, 1.0));
    painter.setBrush(colours ? QBrush(colour_of(category)) : QBrush(Qt::NoBrush));
    painter.drawPath(point_mark(shapes ? category : 0, 4.5));
    painter.restore();
    painter.setPen(text);
    line(kNamesFrom, categories.names[static_cast<qsizetype>(category)]);
    area.setTop(area.top() + metrics.height() + 1.0);
  }
  if (legend.more > 0) {
    painter.setPen(faint_text(m_palette));
    painter.drawText(QPointF(area.left() + kNamesFrom, area.top() + metrics.ascent()),
                     QStringLiteral("%1 more").arg(legend.more));
    area.setTop(area.top() + metrics.height());
  }
  return area.top() + kPadding;
}

}  // namespace kvsieve::gui
