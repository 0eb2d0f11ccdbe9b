#include "widgets/chart_view.h"

#include <QKeyEvent>
#include <QToolTip>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/chart_csv.h"
#include "core/qt_text.h"
#include "widgets/custom_plot.h"

namespace kvsieve::gui {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNearPixels = 14.0;

std::vector<const sim::Series*> pointers(const std::vector<sim::Series>& series) {
  std::vector<const sim::Series*> all;
  for (const sim::Series& one : series) {
    all.push_back(&one);
  }
  return all;
}

QString line_of(const sim::Series& series, std::size_t index, sim::Unit unit) {
  if (index >= series.values.size() || !series.values[index]) {
    return {};
  }
  const double value = *series.values[index];
  const QString text = qs(sim::number_text(value, unit));
  const QString exact = qs(sim::exact_text(value, unit));
  return QStringLiteral("%1: %2%3")
      .arg(qs(series.name), text, exact == text ? QString() : " (" + exact + ")");
}

/// The values of all series at an index, behind what the index is called.
QString series_text(const QString& head, const std::vector<const sim::Series*>& series,
                    std::size_t index, sim::Unit unit) {
  QStringList lines{head};
  for (const sim::Series* one : series) {
    if (const QString line = line_of(*one, index, unit); !line.isEmpty()) {
      lines << line;
    }
  }
  return lines.join('\n');
}

}  // namespace

ChartView::ChartView(QString id, QString title, Workspace& workspace)
    : XyPlotView(std::move(id), std::move(title), workspace), m_plot(new QCustomPlot) {
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_plot);
  constexpr int kSmallest = 180;
  setMinimumHeight(kSmallest);
  m_plot->setFocusPolicy(Qt::NoFocus);
  // Above the plot, where it covers no data.
  m_plot->plotLayout()->insertRow(0);
  m_plot->axisRect()->insetLayout()->take(m_plot->legend);
  m_plot->plotLayout()->addElement(0, 0, m_plot->legend);
  m_plot->plotLayout()->setRowStretchFactor(0, 0.001);
  m_plot->legend->setFillOrder(QCPLegend::foColumnsFirst);
  m_plot->legend->setBorderPen(Qt::NoPen);
  setFocusProxy(nullptr);
  m_plot->installEventFilter(this);
  m_plot->setMouseTracking(true);
  m_plot->setNoAntialiasingOnDrag(true);
  const auto store = [this] { store_zoom(); };
  connect(m_plot->xAxis, qOverload<const QCPRange&>(&QCPAxis::rangeChanged), this, store);
  connect(m_plot->yAxis, qOverload<const QCPRange&>(&QCPAxis::rangeChanged), this, store);
  connect(&workspace.view(), &ViewStack::zoom_changed, this, &ChartView::show_zoom);
  clear(QStringLiteral("Nothing to show yet"));
}

ChartView::~ChartView() = default;

void ChartView::set_chart(const sim::Chart& chart, const QString& origin, const QString& note) {
  m_chart = chart;
  m_bands.clear();
  m_cursor.reset();
  m_log_x = false;
  m_log_y = false;
  set_origin(origin);
  set_note(note);
  rebuild();
  Q_EMIT content_changed();
}

void ChartView::clear(const QString& empty_text) {
  m_chart.reset();
  m_bands.clear();
  m_marker.reset();
  m_cursor.reset();
  set_origin({});
  set_note({});
  set_empty_text(empty_text);
  rebuild();
  Q_EMIT content_changed();
}

void ChartView::set_band(std::size_t series, const std::vector<double>& low,
                         const std::vector<double>& high) {
  m_bands.push_back({series, low, high});
  rebuild();
}

void ChartView::set_marker(std::optional<double> x) {
  if (m_marker != x) {
    m_marker = x;
    rebuild();
  }
}

void ChartView::set_log_axes(bool x, bool y) {
  if (m_log_x != x || m_log_y != y) {
    m_log_x = x;
    m_log_y = y;
    rebuild();
  }
}

sim::Table ChartView::table() const {
  return m_chart ? sim::table_of(*m_chart) : sim::Table{};
}

QString ChartView::csv() const {
  return m_chart ? chart_csv(*m_chart) : QString();
}

void ChartView::draw(QPaintDevice& device, const QSize& size) {
  arrange_legend(*m_plot, size.width());
  QCPPainter painter;
  painter.begin(&device);
  m_plot->toPainter(&painter, size.width(), size.height());
  painter.end();
  arrange_legend(*m_plot, m_plot->width());
  m_plot->replot(QCustomPlot::rpQueuedReplot);  // back to the widget's own size
}

void ChartView::fit() {
  XyPlotView::fit();
  show_zoom();
}

void ChartView::resizeEvent(QResizeEvent* event) {
  XyPlotView::resizeEvent(event);
  arrange_legend(*m_plot, width());
}

void ChartView::changeEvent(QEvent* event) {
  XyPlotView::changeEvent(event);
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange ||
      event->type() == QEvent::StyleChange) {
    rebuild();
  }
}

XyAxes ChartView::axes(const QSizeF& /*size*/) const {
  const QRect inside = m_plot->axisRect()->rect();
  const auto scale = [](const QCPAxis& axis, double from, double to) {
    return AxisScale{axis.range().lower, axis.range().upper, from, to,
                     axis.scaleType() == QCPAxis::stLogarithmic};
  };
  return {scale(*m_plot->xAxis, inside.left(), inside.left() + inside.width()),
          scale(*m_plot->yAxis, inside.top() + inside.height(), inside.top())};
}

void ChartView::pick_walked(const QKeyEvent& event) {
  if (m_cursor) {
    Q_EMIT picked(*m_cursor, event.modifiers());
  }
}

bool ChartView::eventFilter(QObject* watched, QEvent* event) {
  if (watched != m_plot || !m_chart) {
    return XyPlotView::eventFilter(watched, event);
  }
  switch (event->type()) {
    case QEvent::Wheel:
      wheelEvent(static_cast<QWheelEvent*>(event));
      return true;
    case QEvent::MouseButtonPress: {
      const auto* mouse = static_cast<QMouseEvent*>(event);
      setFocus(Qt::MouseFocusReason);
      m_pressed = mouse->position();
      const bool pan = (mouse->modifiers() & Qt::ShiftModifier) != 0;
      m_plot->setSelectionRectMode(pan ? QCP::srmNone : QCP::srmZoom);
      m_plot->setInteraction(QCP::iRangeDrag, pan);
      return false;
    }
    case QEvent::MouseButtonRelease: {
      const auto* mouse = static_cast<QMouseEvent*>(event);
      const double moved = (mouse->position() - m_pressed).manhattanLength();
      if (mouse->button() == Qt::LeftButton && moved < QApplication::startDragDistance()) {
        // A click is no box of zero size.
        m_plot->selectionRect()->cancel();
        if (const std::optional<int> index = index_at(mouse->position())) {
          m_cursor = index;
          Q_EMIT picked(*index, mouse->modifiers());
        }
      }
      return false;
    }
    case QEvent::MouseButtonDblClick:
      fit();
      return true;
    case QEvent::MouseMove:
      point_at(static_cast<QMouseEvent*>(event)->position());
      return false;
    case QEvent::Leave:
      Q_EMIT hovered({});
      return false;
    default:
      return XyPlotView::eventFilter(watched, event);
  }
}

void ChartView::rebuild() {
  m_showing_zoom = true;
  const ChartStyle style{palette(), font(), m_log_x, m_log_y, m_bands};
  clear_chart(*m_plot, style);
  if (m_chart) {
    draw_chart(*m_plot, *m_chart, style);
    const QCPRange x = m_plot->xAxis->range();
    const QCPRange y = m_plot->yAxis->range();
    m_everything = {x.lower, x.upper, y.lower, y.upper};
  }
  show_marker();
  m_showing_zoom = false;
  show_zoom();
}

void ChartView::show_marker() {
  std::optional<double> x = m_marker;
  if (!m_chart || !x) {
    return;
  }
  auto* line = new QCPItemStraightLine(m_plot);
  line->setPen(QPen(palette().color(QPalette::Highlight), 2.0, Qt::DashLine));
  line->point1->setCoords(*x, m_log_y ? 1.0 : 0.0);
  line->point2->setCoords(*x, m_log_y ? 10.0 : 1.0);
}

void ChartView::show_zoom() {
  if (!m_chart) {
    m_plot->replot(QCustomPlot::rpQueuedReplot);
    return;
  }
  m_showing_zoom = true;
  const Zoom zoom = workspace().view().zoom(id()).value_or(m_everything);
  m_plot->xAxis->setRange(zoom.x_low, zoom.x_high);
  m_plot->yAxis->setRange(zoom.y_low, zoom.y_high);
  m_showing_zoom = false;
  m_plot->replot(QCustomPlot::rpQueuedReplot);
}

void ChartView::store_zoom() {
  if (m_showing_zoom || !m_chart) {
    return;
  }
  const QCPRange x = m_plot->xAxis->range();
  const QCPRange y = m_plot->yAxis->range();
  workspace().view().set_zoom(id(), Zoom{x.lower, x.upper, y.lower, y.upper});
}

void ChartView::point_at(const QPointF& position) {
  const std::optional<int> index = index_at(position);
  const QString text = index ? text_of(*index) : QString();
  QString line = text;
  Q_EMIT hovered(line.replace('\n', QStringLiteral(" · ")));
  QToolTip::showText(m_plot->mapToGlobal(position.toPoint()), text, m_plot);
}

void ChartView::walk(int direction) {
  const int count = points();
  if (count == 0) {
    return;
  }
  m_cursor = m_cursor ? std::clamp(*m_cursor + direction, 0, count - 1) : 0;
  QString text = text_of(*m_cursor);
  Q_EMIT hovered(text.replace('\n', QStringLiteral(" · ")));
  set_marker(x_of(*m_cursor));
}

int ChartView::points() const {
  if (!m_chart) {
    return 0;
  }
  std::size_t count = 0;
  if (const auto* lines = std::get_if<sim::LineChart>(&*m_chart)) {
    count = lines->x.size();
  } else if (const auto* bars = std::get_if<sim::BarChart>(&*m_chart)) {
    count = bars->categories.size();
  } else if (const auto* ratios = std::get_if<sim::RatioChart>(&*m_chart)) {
    count = ratios->categories.size();
  } else if (const auto* scatter = std::get_if<sim::ScatterChart>(&*m_chart)) {
    count = scatter->points.size();
  } else if (const auto* agreement = std::get_if<sim::AgreementChart>(&*m_chart)) {
    count = agreement->points.size();
  }
  return static_cast<int>(count);
}

std::optional<double> ChartView::x_of(int index) const {
  const auto i = static_cast<std::size_t>(index);
  if (const auto* lines = std::get_if<sim::LineChart>(&*m_chart)) {
    return lines->x[i];
  }
  if (const auto* scatter = std::get_if<sim::ScatterChart>(&*m_chart)) {
    return scatter->points[i].x;
  }
  if (const auto* agreement = std::get_if<sim::AgreementChart>(&*m_chart)) {
    return agreement->points[i].x;
  }
  return static_cast<double>(index);
}

std::optional<int> ChartView::index_at(const QPointF& position) const {
  if (!m_chart || !m_plot->axisRect()->rect().contains(position.toPoint())) {
    return std::nullopt;
  }
  const bool free = std::holds_alternative<sim::ScatterChart>(*m_chart) ||
                    std::holds_alternative<sim::AgreementChart>(*m_chart);
  std::optional<int> nearest;
  double best = free ? kNearPixels * kNearPixels : std::numeric_limits<double>::infinity();
  for (int i = 0; i < points(); ++i) {
    const double dx = m_plot->xAxis->coordToPixel(*x_of(i)) - position.x();
    double dy = 0.0;
    const auto at = static_cast<std::size_t>(i);
    if (const auto* scatter = std::get_if<sim::ScatterChart>(&*m_chart)) {
      dy = m_plot->yAxis->coordToPixel(scatter->points[at].y) - position.y();
    } else if (const auto* agreement = std::get_if<sim::AgreementChart>(&*m_chart)) {
      dy = m_plot->yAxis->coordToPixel(agreement->points[at].y) - position.y();
    }
    if (const double distance = dx * dx + dy * dy; distance < best) {
      best = distance;
      nearest = i;
    }
  }
  return nearest;
}

QString ChartView::text_of(int index) const {
  const auto i = static_cast<std::size_t>(index);
  if (const auto* lines = std::get_if<sim::LineChart>(&*m_chart)) {
    return series_text(
        qs(lines->x_name) + " " + qs(sim::number_text(lines->x[i], sim::Unit::kTokens)),
        pointers(lines->series), i, lines->unit);
  }
  if (const auto* bars = std::get_if<sim::BarChart>(&*m_chart)) {
    std::vector<const sim::Series*> series = pointers(bars->series);
    if (bars->marks) {
      series.push_back(&*bars->marks);
    }
    return series_text(qs(bars->category_name) + " " + qs(bars->categories[i]), series, i,
                       bars->unit);
  }
  if (const auto* ratios = std::get_if<sim::RatioChart>(&*m_chart)) {
    const sim::Series series{ratios->value_name, ratios->values};
    return series_text(qs(ratios->category_name) + " " + qs(ratios->categories[i]), {&series}, i,
                       sim::Unit::kRatio);
  }
  if (const auto* scatter = std::get_if<sim::ScatterChart>(&*m_chart)) {
    const sim::ScatterChart::Point& point = scatter->points[i];
    return QStringLiteral("%1\n%2: %3\n%4: %5")
        .arg(qs(point.name), qs(scatter->x_name), qs(sim::exact_text(point.x, scatter->x_unit)),
             qs(scatter->y_name), qs(sim::exact_text(point.y, scatter->y_unit)));
  }
  const auto& agreement = std::get<sim::AgreementChart>(*m_chart);
  const sim::AgreementChart::Point& point = agreement.points[i];
  return QStringLiteral("%1 (%2)\n%3: %4 %7\n%5: %6 %7")
      .arg(qs(point.name), qs(agreement.kinds[point.kind].name), qs(agreement.x_name),
           qs(sim::exact_text(point.x, sim::Unit::kNumber)), qs(agreement.y_name),
           qs(sim::exact_text(point.y, sim::Unit::kNumber)), qs(agreement.unit));
}

}  // namespace kvsieve::gui
