#include "widgets/point_view.h"

#include <QPainter>
#include <QPainterPath>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "core/qt_text.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr double kNearPixels = 14.0;
constexpr double kCell = 3.0;

QString axis_label(const PointChart::Axis& axis) {
  switch (axis.unit) {
    case sim::Unit::kBytes:
      return qs(axis.name) + QStringLiteral(" (IEC: KiB = 1,024 B)");
    case sim::Unit::kGbps:
      return qs(axis.name) + QStringLiteral(" (SI: GB/s = 10⁹ B/s)");
    default:
      return qs(axis.name);
  }
}

Qt::PenStyle dash_of(std::size_t index) {
  constexpr Qt::PenStyle kStyles[] = {Qt::SolidLine, Qt::DashLine, Qt::DotLine, Qt::DashDotLine};
  return kStyles[index % std::size(kStyles)];
}

/// A diamond around a point.
QPainterPath diamond(const QPointF& at, double reach) {
  QPainterPath path;
  path.moveTo(at.x(), at.y() - reach);
  path.lineTo(at.x() + reach, at.y());
  path.lineTo(at.x(), at.y() + reach);
  path.lineTo(at.x() - reach, at.y());
  path.closeSubpath();
  return path;
}

}  // namespace

PointView::PointView(QString id, QString title, Workspace& workspace)
    : PaintedXyView(std::move(id), std::move(title), workspace) {
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(&workspace.view(), &ViewStack::zoom_changed, this, qOverload<>(&QWidget::update));
  clear(QStringLiteral("Nothing to show yet"));
}

void PointView::set_chart(PointChart chart, const QString& origin, const QString& note) {
  m_everything = ranges_of(chart);
  m_chart = std::move(chart);
  m_cursor.reset();
  set_origin(origin);
  set_note(note);
  update();
  Q_EMIT content_changed();
}

void PointView::clear(const QString& empty_text) {
  m_chart.reset();
  m_cursor.reset();
  set_origin({});
  set_note({});
  set_empty_text(empty_text);
  update();
  Q_EMIT content_changed();
}

void PointView::set_highlight(std::optional<std::int64_t> id) {
  if (m_highlight != id) {
    m_highlight = id;
    update();
  }
}

sim::Table PointView::table() const {
  return m_chart ? table_of(*m_chart) : sim::Table{};
}

QString PointView::csv() const {
  return m_chart ? csv_of(*m_chart) : QString();
}

QSize PointView::minimumSizeHint() const {
  constexpr QSize kSmallest{320, 260};
  return kSmallest;
}

XyAxes PointView::axes(const QSizeF& size) const {
  const QFontMetricsF metrics(font());
  const double line = metrics.height();
  const double left = metrics.horizontalAdvance(QStringLiteral("0,000.0 GB/s")) + 1.8 * line;
  const double top = 2.2 * line;
  return zoomed(
      {{m_everything.x.low, m_everything.x.high, left, std::max(left + 20.0, size.width() - line),
        m_chart && m_chart->x.log},
       {m_everything.y.low, m_everything.y.high, std::max(top + 20.0, size.height() - 3.2 * line),
        top, m_chart && m_chart->y.log}});
}

void PointView::draw(QPaintDevice& device, const QSize& size) {
  QPainter painter(&device);
  paint(painter, size);
}

void PointView::paintEvent(QPaintEvent* /*event*/) {
  QPainter painter(this);
  paint(painter, size());
  paint_drag_and_focus(painter);
}

int PointView::tick_count(double length, bool wide) const {
  const QFontMetricsF metrics(font());
  const double each =
      wide ? metrics.horizontalAdvance(QStringLiteral("0,000 KiB  ")) : 2.5 * metrics.height();
  return std::clamp(static_cast<int>(length / each), 2, 12);
}

void PointView::paint(QPainter& painter, const QSize& size) const {
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  if (!m_chart) {
    return;
  }
  painter.setFont(font());
  painter.setRenderHint(QPainter::Antialiasing);
  const XyAxes axes = this->axes(size);
  paint_frame(painter, axes, size);
  paint_legend(painter, axes);
  painter.save();
  painter.setClipRect(axes.inside().adjusted(-1.0, -1.0, 1.0, 1.0));
  paint_clouds(painter, axes);
  paint_lines(painter, axes);
  paint_marks(painter, axes);
  paint_rings(painter, axes);
  painter.restore();
}

void PointView::paint_frame(QPainter& painter, const XyAxes& axes, const QSize& size) const {
  const QRectF inside = axes.inside();
  const QFontMetricsF metrics(font());
  const double line = metrics.height();
  const QColor text = palette().color(QPalette::Text);
  const int across = tick_count(inside.width(), true);
  for (const double tick : axes.x.ticks(m_chart->x.unit, across)) {
    const double x = axes.x.pixel(tick);
    painter.setPen(grid_line(palette()));
    painter.drawLine(QPointF(x, inside.top()), QPointF(x, inside.bottom()));
    painter.setPen(text);
    painter.drawText(QRectF(x - 100.0, inside.bottom() + 0.2 * line, 200.0, line), Qt::AlignHCenter,
                     qs(axes.x.tick_text(tick, m_chart->x.unit, across)));
  }
  const int up = tick_count(inside.height(), false);
  for (const double tick : axes.y.ticks(m_chart->y.unit, up)) {
    const double y = axes.y.pixel(tick);
    painter.setPen(grid_line(palette()));
    painter.drawLine(QPointF(inside.left(), y), QPointF(inside.right(), y));
    painter.setPen(text);
    painter.drawText(QRectF(0.0, y - line, inside.left() - 0.4 * line, 2.0 * line),
                     Qt::AlignRight | Qt::AlignVCenter,
                     qs(axes.y.tick_text(tick, m_chart->y.unit, up)));
  }
  painter.setPen(faint_text(palette()));
  painter.setBrush(Qt::NoBrush);
  painter.drawRect(inside);
  painter.setPen(text);
  painter.drawText(QRectF(inside.left(), inside.bottom() + 1.5 * line, inside.width(), 1.4 * line),
                   Qt::AlignHCenter | Qt::AlignVCenter, axis_label(m_chart->x));
  painter.save();
  painter.translate(0.9 * line, inside.center().y());
  painter.rotate(-90.0);
  painter.drawText(QRectF(-0.5 * size.height(), -0.7 * line, size.height(), 1.4 * line),
                   Qt::AlignCenter, axis_label(m_chart->y));
  painter.restore();
}

void PointView::paint_legend(QPainter& painter, const XyAxes& axes) const {
  const QFontMetricsF metrics(font());
  const double line = metrics.height();
  const double middle = 1.0 * line;
  double x = axes.x.from;
  const auto name = [&](const QString& text) {
    painter.setPen(palette().color(QPalette::Text));
    painter.drawText(QPointF(x, middle + 0.35 * line), text);
    x += metrics.horizontalAdvance(text) + 1.5 * line;
  };
  for (const PointChart::Cloud& cloud : m_chart->clouds) {
    const QColor colour = ink(cloud.ink, palette());
    const QPointF at(x + 0.4 * line, middle);
    if (cloud.keeps_all) {
      painter.fillPath(diamond(at, 0.35 * line), colour);
    } else {
      painter.fillRect(QRectF(at.x() - 0.3 * line, at.y() - 0.3 * line, 0.6 * line, 0.6 * line),
                       colour);
    }
    x += line;
    name(qs(cloud.name) + QStringLiteral(" (%1)").arg(
                              qs(sim::grouped(static_cast<std::int64_t>(cloud.ids.size())))));
  }
  for (std::size_t i = 0; i < m_chart->lines.size(); ++i) {
    painter.setPen(QPen(ink(m_chart->lines[i].ink, palette()), 2.0, dash_of(i)));
    painter.drawLine(QPointF(x, middle), QPointF(x + 2.0 * line, middle));
    x += 2.4 * line;
    name(qs(m_chart->lines[i].name));
  }
  if (m_chart->diagonal) {
    painter.setPen(QPen(palette().color(QPalette::Text), 1.0, Qt::DashLine));
    painter.drawLine(QPointF(x, middle), QPointF(x + 1.6 * line, middle));
    x += 2.0 * line;
    name(QStringLiteral("equal"));
  }
}

void PointView::paint_clouds(QPainter& painter, const XyAxes& axes) const {
  if (m_chart->diagonal) {
    const double low = std::min(axes.x.low, axes.y.low);
    const double high = std::max(axes.x.high, axes.y.high);
    painter.setPen(QPen(palette().color(QPalette::Text), 1.0, Qt::DashLine));
    painter.drawLine(axes.pixel(low, low), axes.pixel(high, high));
  }
  painter.setPen(Qt::NoPen);
  for (const PointChart::Cloud& cloud : m_chart->clouds) {
    if (cloud.keeps_all) {
      continue;
    }
    const std::vector<DensityCell> cells = density_of(cloud, axes.x, axes.y, kCell);
    std::int32_t most = 1;
    for (const DensityCell& cell : cells) {
      most = std::max(most, cell.points);
    }
    painter.setRenderHint(QPainter::Antialiasing, false);
    for (const DensityCell& cell : cells) {
      // By the logarithm: single points stay visible beside a hundred in one place.
      const double share = std::log2(1.0 + cell.points) / std::log2(1.0 + most);
      QColor colour = ink(cloud.ink, palette());
      colour.setAlphaF(static_cast<float>(0.45 + 0.55 * share));
      painter.fillRect(
          QRectF(axes.x.from + cell.column * kCell, axes.y.to + cell.row * kCell, kCell, kCell),
          colour);
    }
    painter.setRenderHint(QPainter::Antialiasing);
  }
  for (const PointChart::Cloud& cloud : m_chart->clouds) {
    const QColor colour = ink(cloud.ink, palette());
    painter.setPen(QPen(palette().color(QPalette::Base), 0.8));
    painter.setBrush(colour);
    for (std::size_t i = 0; cloud.keeps_all && i < cloud.x.size(); ++i) {
      constexpr double kReach = 4.5;
      painter.drawPath(diamond(axes.pixel(cloud.x[i], cloud.y[i]), kReach));
    }
  }
}

void PointView::paint_lines(QPainter& painter, const XyAxes& axes) const {
  painter.setBrush(Qt::NoBrush);
  for (std::size_t l = 0; l < m_chart->lines.size(); ++l) {
    const PointChart::Line& line = m_chart->lines[l];
    QPainterPath path;
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      const QPointF at = axes.pixel(line.x[i], line.y[i]);
      if (i == 0) {
        path.moveTo(at);
      } else {
        path.lineTo(at);
      }
    }
    painter.setPen(QPen(ink(line.ink, palette()), 2.0, dash_of(l)));
    painter.drawPath(path);
  }
}

void PointView::paint_marks(QPainter& painter, const XyAxes& axes) const {
  const QFontMetricsF metrics(font());
  const QRectF inside = axes.inside();
  std::vector<QRectF> taken;
  for (const PointChart::Mark& mark : m_chart->marks) {
    const QPointF at = axes.pixel(mark.x, mark.y);
    const double reach = mark.strong ? 8.0 : 5.0;
    painter.setPen(QPen(palette().color(QPalette::Text), mark.strong ? 2.0 : 1.0));
    painter.setBrush(ink(mark.ink, palette()));
    painter.drawPath(diamond(at, reach));
    taken.emplace_back(at.x() - reach, at.y() - reach, 2.0 * reach, 2.0 * reach);
  }
  QFont bold = font();
  bold.setBold(true);
  for (const PointChart::Mark& mark : m_chart->marks) {
    const QString text = qs(mark.label);
    const QFontMetricsF own(mark.strong ? bold : font());
    const double width = own.horizontalAdvance(text) + 4.0;
    const double height = own.height();
    const QPointF at = axes.pixel(mark.x, mark.y);
    // Beside the mark, where no other label or mark is.
    QRectF best;
    for (int turn = 0; turn < 12; ++turn) {
      const double side = turn % 2 == 0 ? at.x() + 10.0 : at.x() - 10.0 - width;
      const double shift = ((turn / 2) % 2 == 0 ? -1.0 : 1.0) * height * (0.2 + turn / 4);
      const QRectF place(side, at.y() - 0.5 * height + shift, width, height);
      const bool free = inside.contains(place) &&
                        std::none_of(taken.begin(), taken.end(),
                                     [&](const QRectF& other) { return other.intersects(place); });
      if (turn == 0 || free) {
        best = place;
      }
      if (free) {
        break;
      }
    }
    taken.push_back(best);
    QColor ground = palette().color(QPalette::Base);
    ground.setAlpha(210);
    painter.fillRect(best, ground);
    painter.setFont(mark.strong ? bold : font());
    painter.setPen(palette().color(QPalette::Text));
    painter.drawText(best, Qt::AlignCenter, text);
  }
  painter.setFont(font());
}

QPointF PointView::place_of(const XyAxes& axes, const PointRef& point) const {
  switch (point.kind) {
    case PointRef::Kind::kCloud: {
      const PointChart::Cloud& cloud = m_chart->clouds[point.series];
      return axes.pixel(cloud.x[point.index], cloud.y[point.index]);
    }
    case PointRef::Kind::kLine: {
      const PointChart::Line& line = m_chart->lines[point.series];
      return axes.pixel(line.x[point.index], line.y[point.index]);
    }
    case PointRef::Kind::kMark:
      break;
  }
  const PointChart::Mark& mark = m_chart->marks[point.series];
  return axes.pixel(mark.x, mark.y);
}

void PointView::paint_rings(QPainter& painter, const XyAxes& axes) const {
  constexpr double kReach = 9.0;
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(palette().color(QPalette::Highlight), 2.5));
  for (std::size_t c = 0; m_highlight && c < m_chart->clouds.size(); ++c) {
    const std::vector<std::int64_t>& ids = m_chart->clouds[c].ids;
    const auto found = std::lower_bound(ids.begin(), ids.end(), *m_highlight);
    if (found != ids.end() && *found == *m_highlight) {
      painter.drawEllipse(place_of(axes, {PointRef::Kind::kCloud, c,
                                          static_cast<std::size_t>(found - ids.begin())}),
                          kReach, kReach);
    }
  }
  if (m_cursor) {
    painter.setPen(QPen(palette().color(QPalette::Text), 1.5, Qt::DashLine));
    painter.drawEllipse(place_of(axes, *m_cursor), kReach, kReach);
  }
}

std::vector<PointRef> PointView::stops() const {
  std::vector<PointRef> stops;
  for (std::size_t m = 0; m < m_chart->marks.size(); ++m) {
    stops.push_back({PointRef::Kind::kMark, m, 0});
  }
  for (std::size_t c = 0; c < m_chart->clouds.size(); ++c) {
    for (std::size_t i = 0; m_chart->clouds[c].keeps_all && i < m_chart->clouds[c].x.size(); ++i) {
      stops.push_back({PointRef::Kind::kCloud, c, i});
    }
  }
  return stops;
}

void PointView::walk(int direction) {
  const std::vector<PointRef> stops = this->stops();
  if (stops.empty()) {
    return;
  }
  std::ptrdiff_t at = 0;
  if (m_cursor) {
    const auto found = std::find(stops.begin(), stops.end(), *m_cursor);
    at = std::clamp<std::ptrdiff_t>(found - stops.begin() + direction, 0,
                                    static_cast<std::ptrdiff_t>(stops.size()) - 1);
  }
  m_cursor = stops[static_cast<std::size_t>(at)];
  update();
  Q_EMIT hovered(text_of(*m_chart, *m_cursor).replace('\n', QStringLiteral(" · ")));
}

void PointView::pick_walked(const QKeyEvent& /*event*/) {
  if (m_cursor) {
    Q_EMIT picked(*m_cursor);
  }
}

void PointView::click(const QPointF& place, Qt::KeyboardModifiers /*modifiers*/) {
  const XyAxes axes = this->axes(size());
  if (const auto point =
          nearest_point(*m_chart, axes.x, axes.y, place.x(), place.y(), kNearPixels)) {
    m_cursor = point;
    update();
    Q_EMIT picked(*point);
  }
}

void PointView::leaveEvent(QEvent* /*event*/) {
  Q_EMIT hovered({});
}

void PointView::point_at(const QPointF& place, const QPoint& global) {
  const XyAxes axes = this->axes(size());
  const auto point = nearest_point(*m_chart, axes.x, axes.y, place.x(), place.y(), kNearPixels);
  const QString text = point ? text_of(*m_chart, *point) : QString();
  QString line = text;
  Q_EMIT hovered(line.replace('\n', QStringLiteral(" · ")));
  QToolTip::showText(global, text, this);
}

}  // namespace kvsieve::gui
