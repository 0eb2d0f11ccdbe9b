#include "widgets/pareto_view.h"

#include <QApplication>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPaintEngine>
#include <QPainter>
#include <QPainterPath>
#include <QPolygonF>
#include <QToolTip>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/csv_text.h"
#include "core/metric_info.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr std::size_t kShapes = 8;
constexpr std::size_t kColours = 8;
constexpr int kReach = 10;  // pixels around a point that belong to it
constexpr std::size_t kTableRows = 2000;
constexpr std::size_t kVectorPoints = 20'000;  // beyond, an SVG holds the points as an image
constexpr double kUnselected = 0.25;           // opacity
constexpr double kPadding = 6.0;
constexpr int kLegendEntries = 12;

QString text_of_name(const std::string& name) {
  return QString::fromStdString(name);
}

/// A mark around the origin, told apart by its outline alone.
QPainterPath mark(std::size_t shape, double radius) {
  QPainterPath path;
  const double r = radius;
  const auto polygon = [&](std::initializer_list<QPointF> corners) {
    QPolygonF points;
    for (const QPointF& corner : corners) {
      points << corner * r;
    }
    path.addPolygon(points);
    path.closeSubpath();
  };
  switch (shape % kShapes) {
    case 0:
      path.addEllipse(QPointF(0, 0), r, r);
      break;
    case 1:
      polygon({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
      break;
    case 2:
      polygon({{0, -1.15}, {1.1, 0.85}, {-1.1, 0.85}});
      break;
    case 3:
      polygon({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
      break;
    case 4:
      polygon({{0, 1.15}, {1.1, -0.85}, {-1.1, -0.85}});
      break;
    case 5:
      polygon({{-0.35, -1.2},
               {0.35, -1.2},
               {0.35, -0.35},
               {1.2, -0.35},
               {1.2, 0.35},
               {0.35, 0.35},
               {0.35, 1.2},
               {-0.35, 1.2},
               {-0.35, 0.35},
               {-1.2, 0.35},
               {-1.2, -0.35},
               {-0.35, -0.35}});
      break;
    case 6: {
      constexpr double s = 0.85;
      polygon({{-s, -0.45 - s / 2},
               {-0.45 - s / 2, -s},
               {0, -0.45},
               {0.45 + s / 2, -s},
               {s, -0.45 - s / 2},
               {0.45, 0},
               {s, 0.45 + s / 2},
               {0.45 + s / 2, s},
               {0, 0.45},
               {-0.45 - s / 2, s},
               {-s, 0.45 + s / 2},
               {-0.45, 0}});
      break;
    }
    default:
      polygon({{0, -1.2}, {1.15, -0.35}, {0.7, 1.0}, {-0.7, 1.0}, {-1.15, -0.35}});
      break;
  }
  return path;
}

/// An axis moved so that its values stand `by` pixels farther.
AxisScale panned(const AxisScale& axis, double by) {
  return axis.moved(-by / (axis.to - axis.from));
}

/// How many ticks a chart of this height has upwards.
int ticks_up(double height) {
  return std::max(2, static_cast<int>(height / 55.0));
}

double radius_of(std::size_t points) {
  return points > 20'000 ? 2.2 : points > 2'000 ? 3.2 : 4.5;
}

/// An axis over [low, high] with a margin on both sides, so that no mark is cut; a single value
/// gets room around it.
AxisScale axis_over(double low, double high, bool log) {
  constexpr double kMargin = 0.04;
  AxisScale axis{.low = low, .high = high, .log = log};
  if (low > high) {
    return {.low = 1.0, .high = 10.0, .log = log};
  }
  if (log) {
    const double margin = low < high ? std::pow(high / low, kMargin) : 1.3;
    axis.low /= margin;
    axis.high *= margin;
  } else {
    const double margin =
        low < high ? kMargin * (high - low) : std::max(0.05 * std::abs(high), 1e-9);
    axis.low -= margin;
    axis.high += margin;
  }
  return axis;
}

double metric_value(const SweepColumn* column, std::uint32_t row) {
  return column == nullptr ? std::numeric_limits<double>::quiet_NaN() : column->number(row);
}

QString axis_title(const std::string& metric,
                   const std::optional<sim::ParetoObjective>& objective) {
  const QString name = text_of_name(metric);
  if (!objective) {
    return name;
  }
  return objective->direction == sim::ParetoDirection::kMax
             ? name + QStringLiteral(" (more is better)")
             : name + QStringLiteral(" (less is better)");
}

}  // namespace

ParetoView::ParetoView(Workspace& workspace)
    : XyPlotView(QStringLiteral("sweep.pareto"), QStringLiteral("Pareto chart"), workspace) {
  setMouseTracking(true);
  set_empty_text(QStringLiteral("Open a sweep store to see its points"));
  connect(&workspace.view(), &ViewStack::selection_changed, this, &ParetoView::read_selection);
  connect(&workspace.view(), &ViewStack::zoom_changed, this, &ParetoView::forget_layer);
}

void ParetoView::show_points(std::shared_ptr<const SweepArrangement> arrangement,
                             const ParetoLook& look) {
  const bool other_axes = look.x != m_look.x || look.y != m_look.y || look.log_x != m_look.log_x ||
                          look.log_y != m_look.log_y;
  m_arrangement = std::move(arrangement);
  if (other_axes && !m_look.x.empty()) {
    fit();
  }
  m_look = look;
  read_points();
  read_selection();
}

void ParetoView::clear(const QString& empty_text) {
  m_arrangement.reset();
  m_points.clear();
  m_front.clear();
  m_cursor.reset();
  set_empty_text(empty_text);
  forget_layer();
  Q_EMIT content_changed();
}

void ParetoView::read_points() {
  const SweepTable& table = *m_arrangement->table;
  const SweepColumn* x = table.metric(m_look.x);
  const SweepColumn* y = table.metric(m_look.y);
  const MetricInfo x_info = metric_info(m_look.x);
  const MetricInfo y_info = metric_info(m_look.y);
  m_colours = categories_of(table, m_look.colour);
  m_shapes = m_look.shape.empty() ? m_colours : categories_of(table, m_look.shape);
  m_points.clear();
  m_front.clear();
  m_cursor.reset();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double low_x = kInfinity;
  double high_x = -kInfinity;
  double low_y = kInfinity;
  double high_y = -kInfinity;
  for (const std::uint32_t row : m_arrangement->shown) {
    Point point{row,
                metric_value(x, row) * x_info.scale,
                metric_value(y, row) * y_info.scale,
                m_colours.of[row],
                m_shapes.of[row],
                m_arrangement->on_front[row] != 0,
                false};
    const bool drawable = std::isfinite(point.x) && std::isfinite(point.y) &&
                          !(m_look.log_x && point.x <= 0.0) && !(m_look.log_y && point.y <= 0.0);
    if (!drawable) {
      continue;
    }
    low_x = std::min(low_x, point.x);
    high_x = std::max(high_x, point.x);
    low_y = std::min(low_y, point.y);
    high_y = std::max(high_y, point.y);
    m_points.push_back(point);
  }
  m_everything_x = axis_over(low_x, high_x, m_look.log_x);
  m_everything_y = axis_over(low_y, high_y, m_look.log_y);
  for (std::size_t i = 0; i < m_points.size(); ++i) {
    if (m_points[i].on_front) {
      m_front.push_back(i);
    }
  }
  std::sort(m_front.begin(), m_front.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(m_points[a].x, m_points[a].y) < std::pair(m_points[b].x, m_points[b].y);
  });
  const std::size_t left_out = m_arrangement->shown.size() - m_points.size();
  set_title(QStringLiteral("%1 against %2").arg(text_of_name(m_look.y), text_of_name(m_look.x)));
  set_origin(x_info.origin == y_info.origin ? x_info.origin
                                            : QStringLiteral("captured and modelled"));
  const bool has_front = m_arrangement->query.x && m_arrangement->query.y;
  QString note = has_front ? QStringLiteral(
                                 "A point a row; no shown point is better in both axes than one on "
                                 "the line.")
                           : QStringLiteral(
                                 "A point a row; choose for both axes what is better to see the "
                                 "front.");
  if (left_out > 0) {
    note += QStringLiteral(" %1 of the shown rows lack a value%2.")
                .arg(sim::grouped(static_cast<std::int64_t>(left_out)).c_str(),
                     m_look.log_x || m_look.log_y ? " above 0" : "");
  }
  set_note(note);
  set_empty_text(QStringLiteral("No shown row has both %1 and %2: choose other axes, or clear the "
                                "filter")
                     .arg(text_of_name(m_look.x), text_of_name(m_look.y)));
}

void ParetoView::read_selection() {
  if (!m_arrangement) {
    return;
  }
  const std::vector<std::int64_t>& selected = workspace().view().selection().points;
  m_has_selection = false;
  for (Point& point : m_points) {
    point.selected = std::binary_search(selected.begin(), selected.end(),
                                        m_arrangement->table->number(point.row));
    m_has_selection = m_has_selection || point.selected;
  }
  forget_layer();
  Q_EMIT content_changed();
}

void ParetoView::forget_layer() {
  m_layer = {};
  update();
}

ParetoView::Layout ParetoView::layout(const QSizeF& size) const {
  const QFontMetricsF metrics(font());
  Layout layout;
  layout.x = m_everything_x;
  layout.y = m_everything_y;
  if (const auto zoom = workspace().view().zoom(id())) {
    layout.x.low = zoom->x_low;
    layout.x.high = zoom->x_high;
    layout.y.low = zoom->y_low;
    layout.y.high = zoom->y_high;
  }
  double widest = 0.0;
  const sim::Unit y_unit = metric_info(m_look.y).unit;
  const int up = ticks_up(size.height());
  for (const double tick : layout.y.ticks(y_unit, up)) {
    const QString label = QString::fromStdString(layout.y.tick_text(tick, y_unit, up));
    widest = std::max(widest, metrics.horizontalAdvance(label));
  }
  double legend = 0.0;
  if (!m_look.colour.empty() || !m_look.shape.empty()) {
    for (const auto& [categories, category] :
         {std::pair(&m_colours, &Point::colour), std::pair(&m_shapes, &Point::shape)}) {
      for (const std::size_t entry : legend_entries(*categories, category).first) {
        const QString& name = categories->names[static_cast<qsizetype>(entry)];
        legend = std::max(legend, metrics.horizontalAdvance(name) + 22.0);
      }
    }
    for (const std::string& name : {m_look.colour, m_look.shape}) {
      legend = std::max(legend, metrics.horizontalAdvance(text_of_name(name)) + 4.0);
    }
    legend = std::min(legend, 0.3 * size.width()) + 2.0 * kPadding;
  }
  const double line = metrics.height();
  const double left = line + widest + 3.0 * kPadding;
  const double bottom = 2.0 * line + 3.0 * kPadding;
  layout.plot = QRectF(left, kPadding, size.width() - left - legend - 2.0 * kPadding,
                       size.height() - bottom - kPadding);
  layout.legend = QRectF(layout.plot.right() + 2.0 * kPadding, kPadding, legend, size.height());
  layout.x.from = layout.plot.left();
  layout.x.to = layout.plot.right();
  layout.y.from = layout.plot.bottom();
  layout.y.to = layout.plot.top();
  return layout;
}

QColor ParetoView::colour_of(std::size_t category) const {
  const auto count = static_cast<std::size_t>(m_colours.names.size());
  if (count > kColours && m_colours.numeric) {
    // Many numbers are a scale, not a set of names; its ends would vanish on one of the grounds.
    const double share = static_cast<double>(category) / static_cast<double>(count - 1);
    return to_qcolor(
        sim::sequential_colour(is_dark(palette()) ? 0.25 + 0.75 * share : 0.8 * share));
  }
  return category_colour(category, palette());
}

void ParetoView::draw_axes(QPainter& painter, const Layout& layout) const {
  const QFontMetricsF metrics(font());
  const QRectF& plot = layout.plot;
  const QColor text = palette().color(QPalette::Text);
  const QColor grid = grid_line(palette());
  const auto& query = m_arrangement->query;
  painter.setRenderHint(QPainter::Antialiasing, false);
  const int across = std::max(2, static_cast<int>(plot.width() / 90.0));
  double free_from = -1e9;
  const sim::Unit x_unit = metric_info(m_look.x).unit;
  for (const double tick : layout.x.ticks(x_unit, across)) {
    const double x = layout.x.pixel(tick);
    painter.setPen(grid);
    painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()));
    const QString label = QString::fromStdString(layout.x.tick_text(tick, x_unit, across));
    const double width = metrics.horizontalAdvance(label);
    if (x - width / 2 > free_from && x + width / 2 < plot.right() + 2.0 * kPadding) {
      painter.setPen(text);
      painter.drawText(
          QRectF(x - width / 2 - 1, plot.bottom() + kPadding, width + 2, metrics.height()),
          Qt::AlignCenter, label);
      free_from = x + width / 2 + kPadding;
    }
  }
  const sim::Unit y_unit = metric_info(m_look.y).unit;
  const int up = ticks_up(layout.legend.height());
  for (const double tick : layout.y.ticks(y_unit, up)) {
    const double y = layout.y.pixel(tick);
    painter.setPen(grid);
    painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
    painter.setPen(text);
    painter.drawText(QRectF(0, y - metrics.height() / 2, plot.left() - kPadding, metrics.height()),
                     Qt::AlignRight | Qt::AlignVCenter,
                     QString::fromStdString(layout.y.tick_text(tick, y_unit, up)));
  }
  painter.setPen(faint_text(palette()));
  painter.drawRect(plot);
  painter.setPen(text);
  painter.drawText(
      QRectF(plot.left(), plot.bottom() + 2.0 * kPadding + metrics.height(), plot.width(),
             metrics.height()),
      Qt::AlignCenter,
      metrics.elidedText(axis_title(m_look.x, query.x), Qt::ElideMiddle, plot.width()));
  painter.save();
  painter.translate(kPadding, plot.bottom());
  painter.rotate(-90);
  painter.drawText(
      QRectF(0, 0, plot.height(), metrics.height()), Qt::AlignCenter,
      metrics.elidedText(axis_title(m_look.y, query.y), Qt::ElideMiddle, plot.height()));
  painter.restore();
}

void ParetoView::draw_points(QPainter& painter, const Layout& layout) const {
  const double radius = radius_of(m_points.size());
  const bool vector =
      painter.paintEngine() != nullptr && painter.paintEngine()->type() == QPaintEngine::SVG;
  const QRectF visible = layout.plot.adjusted(-radius, -radius, radius, radius);
  const QColor outline = palette().color(QPalette::Base);
  // A mark is painted once and copied: a hundred thousand of them take some ten milliseconds.
  const double scale = painter.device()->devicePixelRatioF();
  const int side = static_cast<int>(std::ceil(2.0 * (1.3 * radius + 1.5)));
  std::map<std::pair<std::size_t, std::size_t>, QImage> marks;
  const auto paint_mark = [&](QPainter& to, const Point& point) {
    to.setPen(QPen(outline, 0.7));
    to.setBrush(colour_of(point.colour));
    to.drawPath(mark(point.shape, radius));
  };
  painter.setRenderHint(QPainter::Antialiasing, true);
  const auto draw_one = [&](const Point& point, const QPointF& at) {
    if (vector) {
      painter.save();
      painter.translate(at);
      paint_mark(painter, point);
      painter.restore();
      return;
    }
    QImage& image = marks[{point.colour, point.shape % kShapes}];
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
    painter.setOpacity(selected || !m_has_selection ? 1.0 : kUnselected);
    for (const Point& point : m_points) {
      if (point.selected != selected) {
        continue;
      }
      const QPointF at(layout.x.pixel(point.x), layout.y.pixel(point.y));
      if (visible.contains(at)) {
        draw_one(point, at);
      }
    }
  }
  painter.setOpacity(1.0);
}

void ParetoView::draw_front(QPainter& painter, const Layout& layout) const {
  const QColor text = palette().color(QPalette::Text);
  QPolygonF line;
  for (const std::size_t index : m_front) {
    line << QPointF(layout.x.pixel(m_points[index].x), layout.y.pixel(m_points[index].y));
  }
  painter.setRenderHint(QPainter::Antialiasing, true);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(text, 1.5, Qt::DashLine));
  painter.drawPolyline(line);
  // Thousands of large marks would hide each other and all others.
  const double radius = radius_of(m_points.size()) + (m_front.size() > 500 ? 1.0 : 2.5);
  for (std::size_t i = 0; i < m_front.size(); ++i) {
    const Point& point = m_points[m_front[i]];
    painter.setOpacity(point.selected || !m_has_selection ? 1.0 : 0.5);
    painter.save();
    painter.translate(line[static_cast<qsizetype>(i)]);
    painter.setPen(QPen(text, 1.3));
    painter.setBrush(colour_of(point.colour));
    painter.drawPath(mark(point.shape, radius));
    painter.restore();
  }
  painter.setOpacity(1.0);
}

std::pair<std::vector<std::size_t>, int> ParetoView::legend_entries(
    const SweepCategories& categories, std::size_t Point::*category) const {
  std::vector<bool> drawn(static_cast<std::size_t>(categories.names.size()), false);
  for (const Point& point : m_points) {
    drawn[point.*category] = true;
  }
  std::vector<std::size_t> entries;
  int more = 0;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (drawn[i] && std::ssize(entries) < kLegendEntries) {
      entries.push_back(i);
    } else if (drawn[i]) {
      ++more;
    }
  }
  return {entries, more};
}

void ParetoView::draw_legend(QPainter& painter, const Layout& layout) const {
  if (m_look.colour.empty() && m_look.shape.empty()) {
    return;
  }
  const QFontMetricsF metrics(font());
  const QColor text = palette().color(QPalette::Text);
  double y = layout.legend.top();
  const auto add = [&](const std::string& option, const SweepCategories& categories, bool colours,
                       bool shapes) {
    painter.setPen(faint_text(palette()));
    painter.drawText(
        QRectF(layout.legend.left(), y, layout.legend.width(), metrics.height()),
        Qt::AlignLeft | Qt::AlignVCenter,
        metrics.elidedText(text_of_name(option), Qt::ElideRight, layout.legend.width()));
    y += metrics.height() + 2.0;
    const auto [entries, more] =
        legend_entries(categories, colours ? &Point::colour : &Point::shape);
    for (const std::size_t category : entries) {
      painter.save();
      painter.translate(layout.legend.left() + 7.0, y + metrics.height() / 2);
      painter.setRenderHint(QPainter::Antialiasing, true);
      painter.setPen(colours ? Qt::NoPen : QPen(text, 1.0));
      painter.setBrush(colours ? QBrush(colour_of(category)) : QBrush(Qt::NoBrush));
      painter.drawPath(mark(shapes ? category : 0, 4.5));
      painter.restore();
      painter.setPen(text);
      painter.drawText(
          QRectF(layout.legend.left() + 18.0, y, layout.legend.width() - 18.0, metrics.height()),
          Qt::AlignLeft | Qt::AlignVCenter,
          metrics.elidedText(categories.names[static_cast<qsizetype>(category)], Qt::ElideRight,
                             layout.legend.width() - 18.0));
      y += metrics.height() + 1.0;
    }
    if (more > 0) {
      painter.setPen(faint_text(palette()));
      painter.drawText(QPointF(layout.legend.left() + 18.0, y + metrics.ascent()),
                       QStringLiteral("%1 more").arg(more));
      y += metrics.height();
    }
    y += kPadding;
  };
  const bool one = m_look.shape.empty() || m_look.shape == m_look.colour;
  if (!m_look.colour.empty()) {
    add(m_look.colour, m_colours, true, one);
  }
  if (!one) {
    add(m_look.shape, m_shapes, false, true);
  }
}

void ParetoView::draw_all(QPainter& painter, const QSizeF& size) const {
  painter.setFont(font());
  const Layout plan = layout(size);
  draw_axes(painter, plan);
  painter.save();
  painter.setClipRect(plan.plot);
  const bool vector =
      painter.paintEngine() != nullptr && painter.paintEngine()->type() == QPaintEngine::SVG;
  if (vector && m_points.size() > kVectorPoints) {
    constexpr double kScale = 2.0;
    QImage image((size * kScale).toSize(), QImage::Format_ARGB32_Premultiplied);
    image.setDevicePixelRatio(kScale);
    image.fill(Qt::transparent);
    QPainter to(&image);
    to.setClipRect(plan.plot);
    draw_points(to, plan);
    to.end();
    painter.drawImage(QPointF(0, 0), image);
  } else {
    draw_points(painter, plan);
  }
  draw_front(painter, plan);
  painter.restore();
  draw_legend(painter, plan);
}

void ParetoView::draw(QPaintDevice& device, const QSize& size) {
  if (is_empty()) {
    return;
  }
  QPainter painter(&device);
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  draw_all(painter, size);
}

void ParetoView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  if (is_empty()) {
    painter.fillRect(rect(), palette().color(QPalette::Base));
    return;
  }
  const QSize pixels = size() * devicePixelRatioF();
  if (m_layer.size() != pixels) {
    m_layer = QImage(pixels, QImage::Format_ARGB32_Premultiplied);
    m_layer.setDevicePixelRatio(devicePixelRatioF());
    m_layer.fill(palette().color(QPalette::Base));
    QPainter layer(&m_layer);
    draw_all(layer, size());
  }
  painter.drawImage(QPointF(0, 0), m_layer);
  const QColor highlight = palette().color(QPalette::Highlight);
  const Layout plan = layout();
  painter.setRenderHint(QPainter::Antialiasing, true);
  if (m_cursor) {
    const Point& point = m_points[*m_cursor];
    painter.setPen(QPen(palette().color(QPalette::Text), 1.5));
    painter.drawEllipse(QPointF(plan.x.pixel(point.x), plan.y.pixel(point.y)), 9.0, 9.0);
  }
  if (m_drag == Drag::kBrush || m_drag == Drag::kZoom) {
    QColor inside = highlight;
    inside.setAlphaF(m_drag == Drag::kBrush ? 0.15 : 0.0);
    painter.setPen(QPen(highlight, 1.0, m_drag == Drag::kBrush ? Qt::SolidLine : Qt::DashLine));
    painter.setBrush(inside);
    painter.drawRect(QRectF(m_pressed, m_dragged).normalized());
  }
  if (hasFocus()) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(highlight, 1.0));
    painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
  }
}

std::optional<std::size_t> ParetoView::nearest(const QPointF& place) const {
  if (is_empty()) {
    return std::nullopt;
  }
  const Layout plan = layout();
  if (!plan.plot.adjusted(-kReach, -kReach, kReach, kReach).contains(place)) {
    return std::nullopt;
  }
  std::optional<std::size_t> best;
  double best_distance = kReach * kReach;
  for (std::size_t i = 0; i < m_points.size(); ++i) {
    const double dx = plan.x.pixel(m_points[i].x) - place.x();
    const double dy = plan.y.pixel(m_points[i].y) - place.y();
    const double distance = dx * dx + dy * dy;
    // The front is drawn above the others, and is what one aims at.
    const bool above = best && distance == best_distance && m_points[i].on_front;
    if (distance < best_distance || above) {
      best = i;
      best_distance = distance;
    }
  }
  return best;
}

std::optional<QPointF> ParetoView::position_of(std::uint32_t row) const {
  const auto found = std::find_if(m_points.begin(), m_points.end(),
                                  [&](const Point& point) { return point.row == row; });
  if (found == m_points.end()) {
    return std::nullopt;
  }
  const Layout plan = layout();
  return QPointF(plan.x.pixel(found->x), plan.y.pixel(found->y));
}

std::optional<std::uint32_t> ParetoView::row_at(const QPointF& place) const {
  const auto index = nearest(place);
  return index ? std::optional(m_points[*index].row) : std::nullopt;
}

QString ParetoView::text_of(const Point& point) const {
  const SweepTable& table = *m_arrangement->table;
  const auto metric = [&](const std::string& name) {
    const MetricInfo info = metric_info(name);
    const double value = metric_value(table.metric(name), point.row);
    QString text =
        QStringLiteral("%1 %2 (%3)").arg(text_of_name(name), info.text(value), info.exact(value));
    return info.origin.isEmpty() ? text : text + ", " + info.origin;
  };
  return QStringLiteral("%1: %2; %3%4")
      .arg(table.label(point.row), metric(m_look.x), metric(m_look.y),
           point.on_front ? QStringLiteral("; on the front") : QString());
}

void ParetoView::point_at(std::optional<std::size_t> index, const QPoint& global) {
  if (index == m_cursor) {
    return;
  }
  m_cursor = index;
  update();
  if (index) {
    const QString text = text_of(m_points[*index]);
    QString lines = text;
    lines.replace(QStringLiteral("; "), QStringLiteral("\n"));
    QToolTip::showText(global, lines, this);
    Q_EMIT hovered(text);
  } else {
    QToolTip::hideText();
    Q_EMIT hovered({});
  }
}

void ParetoView::pick(std::vector<std::int64_t> numbers, bool add, bool toggle) {
  Selection selection = workspace().view().selection();
  if (toggle) {
    for (const std::int64_t number : numbers) {
      const auto at = std::lower_bound(selection.points.begin(), selection.points.end(), number);
      if (at != selection.points.end() && *at == number) {
        selection.points.erase(at);
      } else {
        selection.points.insert(at, number);
      }
    }
  } else {
    if (add) {
      numbers.insert(numbers.end(), selection.points.begin(), selection.points.end());
    }
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    selection.points = std::move(numbers);
  }
  workspace().view().select(std::move(selection));
}

void ParetoView::mousePressEvent(QMouseEvent* event) {
  if (is_empty()) {
    return;
  }
  m_pressed = event->position();
  m_dragged = m_pressed;
  const bool pans = event->button() == Qt::MiddleButton ||
                    (event->button() == Qt::LeftButton && event->modifiers() & Qt::ShiftModifier);
  if (pans) {
    m_drag = Drag::kPan;
  } else if (event->button() == Qt::LeftButton) {
    m_drag = event->modifiers() & Qt::AltModifier ? Drag::kZoom : Drag::kBrush;
  }
}

void ParetoView::mouseMoveEvent(QMouseEvent* event) {
  const QPointF place = event->position();
  if (m_drag == Drag::kPan) {
    const Layout plan = layout();
    set_axes(panned(plan.x, place.x() - m_dragged.x()), panned(plan.y, place.y() - m_dragged.y()));
  }
  m_dragged = place;
  if (m_drag != Drag::kNone) {
    update();
    return;
  }
  point_at(nearest(place), event->globalPosition().toPoint());
}

void ParetoView::mouseReleaseEvent(QMouseEvent* event) {
  const Drag drag = std::exchange(m_drag, Drag::kNone);
  update();
  if (drag == Drag::kNone || drag == Drag::kPan || is_empty()) {
    return;
  }
  const QRectF box = QRectF(m_pressed, event->position()).normalized();
  const bool clicked = box.width() < QApplication::startDragDistance() / 2.0 &&
                       box.height() < QApplication::startDragDistance() / 2.0;
  const bool control = event->modifiers() & Qt::ControlModifier;
  const Layout plan = layout();
  if (drag == Drag::kZoom) {
    if (!clicked) {
      AxisScale x = plan.x;
      AxisScale y = plan.y;
      x.low = plan.x.value(box.left());
      x.high = plan.x.value(box.right());
      y.low = plan.y.value(box.bottom());
      y.high = plan.y.value(box.top());
      set_axes(x, y);
    }
    return;
  }
  std::vector<std::int64_t> numbers;
  if (clicked) {
    if (const auto index = nearest(event->position())) {
      numbers.push_back(m_arrangement->table->number(m_points[*index].row));
    }
    pick(std::move(numbers), false, control);
    return;
  }
  for (const Point& point : m_points) {
    if (box.contains(plan.x.pixel(point.x), plan.y.pixel(point.y))) {
      numbers.push_back(m_arrangement->table->number(point.row));
    }
  }
  pick(std::move(numbers), control, false);
}

void ParetoView::mouseDoubleClickEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) {
    return;
  }
  if (const auto row = row_at(event->position())) {
    Q_EMIT opened(*row);
  } else {
    fit();
  }
}

QPointF ParetoView::middle() const {
  return layout().plot.center();
}

void ParetoView::zoom_by(double factor, const QPointF& at, bool x, bool y) {
  const Layout plan = layout();
  set_axes(x ? plan.x.zoomed(factor, at.x()) : plan.x, y ? plan.y.zoomed(factor, at.y()) : plan.y);
}

void ParetoView::pan_by(double x_share, double y_share) {
  const Layout plan = layout();
  set_axes(plan.x.moved(x_share), plan.y.moved(y_share));
}

void ParetoView::walk(int direction) {
  if (is_empty()) {
    return;
  }
  // In the order of x, so that the steps go one way.
  std::vector<std::size_t> order(m_points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(m_points[a].x, m_points[a].y, a) <
           std::tuple(m_points[b].x, m_points[b].y, b);
  });
  auto place = std::ptrdiff_t{direction > 0 ? 0 : std::ssize(order) - 1};
  if (m_cursor) {
    place = std::find(order.begin(), order.end(), *m_cursor) - order.begin() + direction;
  }
  place = std::clamp(place, std::ptrdiff_t{0}, std::ssize(order) - 1);
  const std::size_t index = order[static_cast<std::size_t>(place)];
  const Layout plan = layout();
  point_at(
      index,
      mapToGlobal(
          QPointF(plan.x.pixel(m_points[index].x), plan.y.pixel(m_points[index].y)).toPoint()));
}

void ParetoView::pick_walked(const QKeyEvent& event) {
  if (!m_cursor) {
    return;
  }
  const std::uint32_t row = m_points[*m_cursor].row;
  const bool control = event.modifiers() & Qt::ControlModifier;
  if (control && event.key() != Qt::Key_Space) {
    Q_EMIT opened(row);
  } else {
    pick({m_arrangement->table->number(row)}, false, control);
  }
}

void ParetoView::set_axes(const AxisScale& x, const AxisScale& y) {
  const Zoom zoom{x.low, x.high, y.low, y.high};
  const bool usable = std::isfinite(zoom.x_low) && std::isfinite(zoom.x_high) &&
                      std::isfinite(zoom.y_low) && std::isfinite(zoom.y_high) &&
                      zoom.x_high - zoom.x_low > 1e-12 * std::abs(zoom.x_high) &&
                      zoom.y_high - zoom.y_low > 1e-12 * std::abs(zoom.y_high) &&
                      !(x.log && zoom.x_low <= 0.0) && !(y.log && zoom.y_low <= 0.0);
  if (usable) {
    workspace().view().set_zoom(id(), zoom);
  }
}

void ParetoView::leaveEvent(QEvent* event) {
  point_at(std::nullopt, {});
  XyPlotView::leaveEvent(event);
}

void ParetoView::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    forget_layer();
  }
  XyPlotView::changeEvent(event);
}

sim::Table ParetoView::table() const {
  sim::Table table;
  table.columns = {{.title = "point", .numeric = false, .origin = {}},
                   {.title = m_look.x, .numeric = true, .origin = {}},
                   {.title = m_look.y, .numeric = true, .origin = {}},
                   {.title = "front", .numeric = false, .origin = {}}};
  const auto add = [&](const Point& point) {
    const SweepTable& sweep = *m_arrangement->table;
    const auto value = [&](const std::string& name) {
      return metric_info(name).text(metric_value(sweep.metric(name), point.row)).toStdString();
    };
    table.rows.push_back({{.text = sweep.label(point.row).toStdString()},
                          {.text = value(m_look.x)},
                          {.text = value(m_look.y)},
                          {.text = point.on_front ? "front" : ""}});
  };
  for (const std::size_t index : m_front) {
    add(m_points[index]);
  }
  std::size_t others = 0;
  for (const Point& point : m_points) {
    if (!point.on_front && others++ < kTableRows) {
      add(point);
    }
  }
  if (others > kTableRows) {
    table.rows.push_back({{.text = sim::grouped(static_cast<std::int64_t>(others - kTableRows)) +
                                   " more points: the data as CSV has all"}});
  }
  return table;
}

QString ParetoView::csv() const {
  if (!m_arrangement) {
    return {};
  }
  const SweepTable& sweep = *m_arrangement->table;
  QString csv = QStringLiteral("number");
  for (const SweepColumn& option : sweep.options()) {
    csv += ',' + csv_cell(text_of_name(option.name));
  }
  csv += ',' + csv_cell(text_of_name(m_look.x)) + ',' + csv_cell(text_of_name(m_look.y)) +
         QStringLiteral(",on_front\r\n");
  for (const Point& point : m_points) {
    csv += QString::number(sweep.number(point.row));
    for (const SweepColumn& option : sweep.options()) {
      const auto text = option.text(point.row);
      csv += ',' + (text ? csv_cell(text_of_name(std::string(*text))) : QString());
    }
    csv += ',' + csv_number(metric_value(sweep.metric(m_look.x), point.row)) + ',' +
           csv_number(metric_value(sweep.metric(m_look.y), point.row)) +
           (point.on_front ? QStringLiteral(",1\r\n") : QStringLiteral(",0\r\n"));
  }
  return csv;
}

}  // namespace kvsieve::gui
