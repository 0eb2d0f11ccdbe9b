#include "widgets/token_strip_view.h"

#include <QApplication>
#include <QFontMetricsF>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QPainterPath>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "core/qt_text.h"
#include "kvsieve/sim/chart_axis.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr double kPad = 6.0;
constexpr double kTrackGap = 5.0;
constexpr double kTrackHeight = 16.0;
constexpr double kSmallestPanel = 50.0;
constexpr double kLargestPanel = 180.0;
constexpr double kDecades = 1e-5;  // of logarithmic curves, below their top
constexpr double kZoomStep = 0.8;
constexpr double kPanStep = 0.15;

QString grouped(std::int64_t value) {
  return qs(sim::grouped(value));
}

}  // namespace

/// Where the parts of a drawing lie.
struct TokenStripView::Layout {
  TokenAxis axis;
  double width = 0.0;
  double line = 0.0;        // height of a line of text
  double panels_top = 0.0;  // of the curves
  double panel = 0.0;       // height of each
  double tracks_top = 0.0;
  double bottom = 0.0;  // of the tracks

  [[nodiscard]] double panel_top(std::size_t i) const {
    return panels_top + static_cast<double>(i) * (panel + line + kPad) + line;
  }
  [[nodiscard]] double track_top(std::size_t i) const {
    return tracks_top + static_cast<double>(i) * (kTrackHeight + kTrackGap);
  }
};

TokenStripView::TokenStripView(QString id, QString title, Workspace& workspace)
    : PlotView(std::move(id), std::move(title), workspace) {
  setMouseTracking(true);
  const auto redraw = [this] { update(); };
  connect(&workspace.view(), &ViewStack::zoom_changed, this, redraw);
  connect(&workspace.view(), &ViewStack::selection_changed, this, redraw);
  clear(QStringLiteral("Nothing to show yet"));
}

void TokenStripView::set_data(TokenStrip data, const QString& origin, const QString& note) {
  m_data = std::move(data);
  if (m_cursor && *m_cursor >= m_data.tokens) {
    m_cursor.reset();
  }
  m_anchor.reset();
  set_origin(origin);
  set_note(note);
  const double tracks = static_cast<double>(m_data.tracks.size()) * (kTrackHeight + kTrackGap);
  const double curves = static_cast<double>(m_data.curves.size()) * (kSmallestPanel + 40.0);
  setMinimumHeight(static_cast<int>(90.0 + tracks + curves));
  update();
  Q_EMIT content_changed();
}

void TokenStripView::clear(const QString& empty_text) {
  m_data = {};
  m_cursor.reset();
  m_anchor.reset();
  set_origin({});
  set_note({});
  set_empty_text(empty_text);
  update();
  Q_EMIT content_changed();
}

void TokenStripView::set_log(bool log) {
  m_log = log;
  update();
}

TokenStripView::Layout TokenStripView::layout(const QSize& size) const {
  const QFontMetricsF metrics(font());
  Layout layout;
  layout.width = size.width();
  layout.line = metrics.height();
  double names = metrics.horizontalAdvance(QStringLiteral("0.00001%"));
  double counts = 0.0;
  for (const TokenStrip::Track& track : m_data.tracks) {
    names = std::max(names, metrics.horizontalAdvance(track.name));
    counts = std::max(counts, metrics.horizontalAdvance(grouped(m_data.tokens) + " kept"));
  }
  layout.axis.left = std::ceil(names + 2.0 * kPad);
  layout.axis.right =
      std::max(layout.axis.left + 20.0, std::floor(size.width() - counts - 2.0 * kPad));
  layout.axis.high = static_cast<double>(std::max<std::int64_t>(m_data.tokens, 1));
  if (const std::optional<Zoom> zoom = workspace().view().zoom(id())) {
    layout.axis = layout.axis.showing(zoom->x_low, zoom->x_high, m_data.tokens);
  }
  layout.panels_top = layout.line + 2.0 * kPad;
  const auto tracks = static_cast<double>(m_data.tracks.size());
  const auto curves = static_cast<double>(m_data.curves.size());
  const double marks = m_data.needle || m_data.step_position ? layout.line : 0.0;
  const double below = 2.0 * layout.line + 2.0 * kPad;
  if (curves > 0.0) {
    const double room = size.height() - layout.panels_top - marks - below -
                        tracks * (kTrackHeight + kTrackGap) - curves * (layout.line + kPad);
    layout.panel = std::clamp(room / curves, kSmallestPanel, kLargestPanel);
  }
  layout.tracks_top =
      layout.panels_top + curves * (layout.panel + layout.line + kPad) + marks + kPad;
  layout.bottom = layout.track_top(m_data.tracks.size());
  return layout;
}

TokenAxis TokenStripView::axis(const QSize& size) const {
  return layout(size).axis;
}

double TokenStripView::track_y(std::size_t track, const QSize& size) const {
  return layout(size).track_top(track) + 0.5 * kTrackHeight;
}

QColor TokenStripView::colour(TokenFate fate) const {
  switch (fate) {
    case TokenFate::kSink:
      return category_colour(2, palette());
    case TokenFate::kWindow:
      return category_colour(1, palette());
    case TokenFate::kDecoded:
      return category_colour(6, palette());
    case TokenFate::kKept:
      return category_colour(0, palette());
    case TokenFate::kDropped:
    case TokenFate::kUnknown:
      break;
  }
  return grid_line(palette());
}

QBrush TokenStripView::pattern(TokenFate fate) const {
  const QColor line = palette().color(QPalette::Base);
  switch (fate) {
    case TokenFate::kSink:
      return {line, Qt::VerPattern};
    case TokenFate::kWindow:
      return {line, Qt::BDiagPattern};
    case TokenFate::kDecoded:
      return {line, Qt::HorPattern};
    case TokenFate::kDropped:
      return {faint_text(palette()), Qt::Dense7Pattern};
    case TokenFate::kUnknown:
      return {faint_text(palette()), Qt::FDiagPattern};
    case TokenFate::kKept:
      break;
  }
  return {Qt::NoBrush};
}

sim::Table TokenStripView::table() const {
  // As many as a reader can scroll through: what is shown, from its left end on.
  constexpr std::int64_t kMostRows = 4096;
  const TokenAxis shown = axis(size());
  const auto first = static_cast<std::int64_t>(shown.low);
  const auto end = std::min(
      {m_data.tokens, static_cast<std::int64_t>(std::ceil(shown.high)), first + kMostRows});
  return m_data.table(first, end);
}

QString TokenStripView::csv() const {
  return m_data.csv();
}

void TokenStripView::draw(QPaintDevice& device, const QSize& size) {
  QPainter painter(&device);
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  if (is_empty()) {
    return;
  }
  painter.setFont(font());
  const Layout parts = layout(size);
  draw_legend(painter, parts);
  for (std::size_t i = 0; i < m_data.curves.size(); ++i) {
    draw_curve(painter, parts, i);
  }
  for (std::size_t i = 0; i < m_data.tracks.size(); ++i) {
    draw_track(painter, parts, i);
  }
  draw_marks(painter, parts);
  draw_axis(painter, parts);
}

void TokenStripView::draw_legend(QPainter& painter, const Layout& layout) const {
  const QFontMetricsF metrics(painter.font());
  double x = layout.axis.left;
  const auto entry = [&](TokenFate fate, const QString& text) {
    const QRectF swatch(x, kPad + 1.0, 22.0, layout.line - 2.0);
    painter.fillRect(swatch, colour(fate));
    painter.fillRect(swatch, pattern(fate));
    painter.setPen(palette().color(QPalette::Text));
    painter.drawText(QRectF(x + 27.0, kPad, 400.0, layout.line), Qt::AlignLeft | Qt::AlignVCenter,
                     text);
    x += 27.0 + metrics.horizontalAdvance(text) + 3.0 * kPad;
  };
  if (m_data.tracks.empty()) {
    return;
  }
  const bool lists = m_data.tracks.front().lists_kept;
  if (lists) {
    entry(TokenFate::kKept, QStringLiteral("kept by score"));
  }
  if (m_data.sinks > 0) {
    entry(TokenFate::kSink, QStringLiteral("sinks"));
  }
  if (m_data.window > 0) {
    entry(TokenFate::kWindow, QStringLiteral("window"));
  }
  if (lists && m_data.tokens > m_data.prompt_tokens) {
    entry(TokenFate::kDecoded, QStringLiteral("decoded"));
  }
  entry(lists ? TokenFate::kDropped : TokenFate::kUnknown,
        lists ? QStringLiteral("dropped") : QStringLiteral("may be retrieved"));
}

void TokenStripView::draw_curve(QPainter& painter, const Layout& layout, std::size_t index) const {
  const TokenStrip::Curve& curve = m_data.curves[index];
  const double top = layout.panel_top(index);
  const double bottom = top + layout.panel;
  const TokenAxis& axis = layout.axis;
  sim::Range range = curve.range();
  if (curve.is_mass) {
    // Shares of attention are compared with each other.
    for (const TokenStrip::Curve& other : m_data.curves) {
      range.high = other.is_mass ? std::max(range.high, other.range().high) : range.high;
    }
    range.low = 0.0;
  }
  const bool log = m_log && curve.is_mass && range.high > 0.0;
  if (log) {
    range.low = range.high * kDecades;
  }
  const auto y = [&](double value) {
    if (range.high <= range.low) {
      return bottom;
    }
    const double share =
        log ? std::log(std::max(value, range.low) / range.low) / std::log(range.high / range.low)
            : (value - range.low) / (range.high - range.low);
    return bottom - std::clamp(share, 0.0, 1.0) * (bottom - top);
  };
  painter.setPen(palette().color(QPalette::Text));
  painter.drawText(QRectF(axis.left, top - layout.line, axis.right - axis.left, layout.line),
                   Qt::AlignLeft | Qt::AlignVCenter, curve.name);
  const auto tick = [&](double value, const QString& text) {
    painter.setPen(grid_line(palette()));
    painter.drawLine(QPointF(axis.left, y(value)), QPointF(axis.right, y(value)));
    painter.setPen(faint_text(palette()));
    painter.drawText(QRectF(0.0, y(value) - 0.5 * layout.line, axis.left - kPad, layout.line),
                     Qt::AlignRight | Qt::AlignVCenter, text);
  };
  if (log) {
    const int highest = static_cast<int>(std::floor(std::log10(range.high)));
    const int stride = layout.panel < 90.0 ? 2 : 1;
    for (int decade = highest; std::pow(10.0, decade) >= range.low; decade -= stride) {
      const double value = std::pow(10.0, decade);
      tick(value, qs(sim::fixed(100.0 * value, std::max(0, -decade - 2))) + '%');
    }
  } else {
    const sim::Axis values = sim::inner_axis(range.low, range.high, 3, curve.unit());
    for (const double value : values.ticks) {
      tick(value, qs(sim::tick_text(value, values.step, values.high, curve.unit())));
    }
  }
  const int columns = static_cast<int>(axis.right - axis.left);
  const std::vector<float> maxima = column_maxima(*curve.values, axis, columns);
  const QColor ink_colour = ink(curve.ink, palette());
  painter.setPen(Qt::NoPen);
  QPainterPath area;
  QPainterPath line;
  bool open = false;
  for (int column = 0; column < columns; ++column) {
    const float value = maxima[static_cast<std::size_t>(column)];
    const auto beyond = static_cast<std::int64_t>(axis.position(axis.left + column)) >=
                        static_cast<std::int64_t>(curve.values->size());
    if (beyond) {
      break;
    }
    const double x = axis.left + column;
    if (!open) {
      area.moveTo(x, bottom);
      line.moveTo(x, y(value));
      open = true;
    }
    area.lineTo(x, y(value));
    area.lineTo(x + 1.0, y(value));
    line.lineTo(x, y(value));
    line.lineTo(x + 1.0, y(value));
  }
  if (open) {
    area.lineTo(area.currentPosition().x(), bottom);
    area.closeSubpath();
    QColor fill = ink_colour;
    fill.setAlphaF(0.35F);
    painter.fillPath(area, fill);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(ink_colour, 1.0, index == 0 ? Qt::SolidLine : Qt::DotLine));
    painter.drawPath(line);
  }
  painter.setPen(faint_text(palette()));
  painter.drawLine(QPointF(axis.left, bottom), QPointF(axis.right, bottom));
}

void TokenStripView::draw_track(QPainter& painter, const Layout& layout, std::size_t index) const {
  const TokenStrip::Track& track = m_data.tracks[index];
  const TokenAxis& axis = layout.axis;
  const double top = layout.track_top(index);
  const TokenFate rest = track.lists_kept ? TokenFate::kDropped : TokenFate::kUnknown;
  const double end = std::min(axis.x(static_cast<double>(m_data.tokens)), axis.right);
  const QRectF whole(axis.left, top, end - axis.left, kTrackHeight);
  painter.fillRect(whole, colour(rest));
  painter.fillRect(whole, pattern(rest));
  // Where several tokens share a pixel, a column is filled as high as their share.
  const auto fill = [&](TokenFate fate, const std::vector<sim::TokenRun>& runs) {
    const auto paint = [&](const QRectF& rect) {
      painter.fillRect(rect, colour(fate));
      painter.fillRect(rect, pattern(fate));
    };
    if (axis.pixels_per_token() >= 1.0) {
      for (const sim::TokenRun& run : runs) {
        const double from = std::max(axis.x(static_cast<double>(run.begin)), axis.left);
        const double to = std::min(axis.x(static_cast<double>(run.end)), axis.right);
        if (from < to) {
          paint({from, top, to - from, kTrackHeight});
        }
      }
      return;
    }
    const int columns = static_cast<int>(axis.right - axis.left);
    const std::vector<float> cover = column_cover(runs, axis, columns);
    for (int first = 0; first < columns;) {
      const float share = cover[static_cast<std::size_t>(first)];
      int last = first + 1;
      while (last < columns && cover[static_cast<std::size_t>(last)] == share) {
        ++last;
      }
      if (share > 0.0F) {
        const double height = std::max(4.0, kTrackHeight * std::min(share, 1.0F));
        paint({axis.left + first, top + kTrackHeight - height, static_cast<double>(last - first),
               height});
      }
      first = last;
    }
  };
  for (const TokenFate fate :
       {TokenFate::kKept, TokenFate::kDecoded, TokenFate::kSink, TokenFate::kWindow}) {
    fill(fate, m_data.runs(track, fate));
  }
  painter.setPen(palette().color(QPalette::Text));
  painter.drawText(QRectF(0.0, top, axis.left - kPad, kTrackHeight),
                   Qt::AlignRight | Qt::AlignVCenter, track.name);
  if (track.lists_kept) {
    painter.setPen(faint_text(palette()));
    painter.drawText(QRectF(axis.right + kPad, top, layout.width - axis.right - kPad, kTrackHeight),
                     Qt::AlignLeft | Qt::AlignVCenter, grouped(track.kept_tokens()) + " kept");
  }
}

void TokenStripView::draw_marks(QPainter& painter, const Layout& layout) const {
  const TokenAxis& axis = layout.axis;
  const QFontMetricsF metrics(painter.font());
  const double top = m_data.curves.empty() ? layout.tracks_top - kPad : layout.panel_top(0);
  const double labels = layout.tracks_top - kPad - layout.line;
  const auto span = [&](double begin, double end) {
    const double left = std::max(axis.x(begin), axis.left);
    const double right = std::min(std::max(axis.x(end), axis.x(begin) + 2.0), axis.right);
    return QRectF(left, top, right - left, layout.bottom - top);
  };
  if (m_data.needle) {
    const QRectF needle =
        span(static_cast<double>(m_data.needle->begin), static_cast<double>(m_data.needle->end));
    if (needle.width() > 0.0) {
      painter.setBrush(Qt::NoBrush);
      painter.setPen(QPen(category_colour(3, palette()), 2.0, Qt::DashLine));
      painter.drawRect(needle);
      const QString text = QStringLiteral("needle");
      const double width = metrics.horizontalAdvance(text) + 4.0;
      const double x = std::clamp(needle.center().x() - 0.5 * width, axis.left,
                                  std::max(axis.left, axis.right - width));
      painter.fillRect(QRectF(x, labels, width, layout.line), palette().color(QPalette::Base));
      painter.drawText(QRectF(x, labels, width, layout.line), Qt::AlignCenter, text);
    }
  }
  if (m_data.step_position) {
    const double x = axis.x(static_cast<double>(*m_data.step_position) + 0.5);
    if (x >= axis.left && x <= axis.right) {
      painter.setPen(QPen(palette().color(QPalette::Text), 1.5, Qt::DashDotLine));
      painter.drawLine(QPointF(x, top), QPointF(x, layout.bottom));
      const QString text = QStringLiteral("step ▼");
      const double width = metrics.horizontalAdvance(text) + 4.0;
      painter.drawText(
          QRectF(std::min(x - 0.5 * width, layout.width - width), labels, width, layout.line),
          Qt::AlignCenter, text);
    }
  }
  const std::optional<TokenRange>& tokens = workspace().view().selection().tokens;
  if (tokens) {
    const QRectF range = span(static_cast<double>(tokens->begin), static_cast<double>(tokens->end));
    if (range.width() > 0.0) {
      QColor fill = palette().color(QPalette::Highlight);
      painter.setPen(QPen(fill, 1.0));
      fill.setAlphaF(0.25F);
      painter.setBrush(fill);
      painter.drawRect(range);
    }
  }
  if (m_pressed && m_dragged_to) {
    QColor fill = palette().color(QPalette::Highlight);
    painter.setPen(QPen(fill, 1.0, m_selecting ? Qt::SolidLine : Qt::DashLine));
    fill.setAlphaF(0.2F);
    painter.setBrush(fill);
    painter.drawRect(QRectF(QPointF(std::min(m_pressed->x(), m_dragged_to->x()), top),
                            QPointF(std::max(m_pressed->x(), m_dragged_to->x()), layout.bottom)));
  }
  if (m_cursor) {
    const double x = axis.x(static_cast<double>(*m_cursor) + 0.5);
    if (x >= axis.left && x <= axis.right) {
      painter.setPen(QPen(palette().color(QPalette::Highlight), 1.0));
      painter.drawLine(QPointF(x, top), QPointF(x, layout.bottom + 4.0));
    }
  }
}

void TokenStripView::draw_axis(QPainter& painter, const Layout& layout) const {
  const TokenAxis& axis = layout.axis;
  constexpr double kTickRoom = 90.0;
  const int count = std::max(2, static_cast<int>((axis.right - axis.left) / kTickRoom));
  const sim::Axis ticks = sim::inner_axis(axis.low, axis.high, count, sim::Unit::kTokens);
  const double y = layout.bottom;
  for (const double value : ticks.ticks) {
    const double x = axis.x(value);
    painter.setPen(palette().color(QPalette::Text));
    painter.drawLine(QPointF(x, y), QPointF(x, y + 4.0));
    painter.drawText(QRectF(x - 60.0, y + 5.0, 120.0, layout.line), Qt::AlignCenter,
                     qs(sim::tick_text(value, ticks.step, ticks.high, sim::Unit::kTokens)));
  }
  painter.setPen(faint_text(palette()));
  painter.drawText(QRectF(axis.left, y + 5.0 + layout.line, axis.right - axis.left, layout.line),
                   Qt::AlignCenter, QStringLiteral("position of the token"));
  if (hasFocus()) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(palette().color(QPalette::Highlight), 2.0, Qt::DotLine));
    painter.drawRect(QRectF(axis.left - 2.0, layout.line + kPad, axis.right - axis.left + 4.0,
                            y - layout.line - kPad + 2.0));
  }
}

void TokenStripView::zoom_to(const TokenAxis& axis) {
  const bool everything = axis.low <= 0.0 && axis.high >= static_cast<double>(m_data.tokens);
  workspace().view().set_zoom(
      id(), everything ? std::nullopt : std::optional(Zoom{axis.low, axis.high, 0.0, 0.0}));
}

void TokenStripView::set_cursor(std::optional<std::int64_t> position) {
  if (m_cursor != position) {
    m_cursor = position;
    update();
  }
}

void TokenStripView::point_at(std::optional<std::int64_t> position) {
  set_cursor(position);
  Q_EMIT cursor_moved(position);
  QString text = position ? m_data.text_at(*position) : QString();
  Q_EMIT hovered(text.replace('\n', QStringLiteral(" · ")));
}

void TokenStripView::walk(std::int64_t by, bool extends) {
  const auto start = static_cast<std::int64_t>(axis(size()).low);
  const std::int64_t from = m_cursor.value_or(start);
  const std::int64_t to =
      std::clamp<std::int64_t>(m_cursor ? from + by : start, 0, m_data.tokens - 1);
  if (extends) {
    m_anchor = m_anchor.value_or(from);
    Selection selection = workspace().view().selection();
    selection.tokens = TokenRange{std::min(*m_anchor, to), std::max(*m_anchor, to) + 1};
    workspace().view().select(std::move(selection));
  } else {
    m_anchor.reset();
  }
  // The cursor stays in sight.
  const TokenAxis shown = axis(size());
  if (static_cast<double>(to) < shown.low || static_cast<double>(to) + 1.0 > shown.high) {
    zoom_to(shown.panned(static_cast<double>(to) - 0.5 * (shown.low + shown.high), m_data.tokens));
  }
  point_at(to);
  setAccessibleDescription(m_data.text_at(to));
}

bool TokenStripView::event(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
    update();
  }
  return PlotView::event(event);
}

void TokenStripView::paintEvent(QPaintEvent*) {
  draw(*this, size());
}

void TokenStripView::wheelEvent(QWheelEvent* event) {
  if (is_empty()) {
    return;
  }
  const double turns = (event->angleDelta().y() + event->angleDelta().x()) / 120.0;
  const TokenAxis shown = axis(size());
  if (event->modifiers() & Qt::ShiftModifier) {
    zoom_to(shown.panned(-turns * kPanStep * (shown.high - shown.low), m_data.tokens));
  } else {
    zoom_to(shown.zoomed(std::pow(kZoomStep, turns), event->position().x(), m_data.tokens));
  }
  event->accept();
}

void TokenStripView::mousePressEvent(QMouseEvent* event) {
  if (event->button() == Qt::LeftButton && !is_empty()) {
    m_pressed = event->position();
    m_dragged_to.reset();
    m_selecting = (event->modifiers() & Qt::ShiftModifier) != 0;
  }
}

void TokenStripView::mouseMoveEvent(QMouseEvent* event) {
  if (is_empty()) {
    return;
  }
  if (m_pressed && (event->buttons() & Qt::LeftButton)) {
    const double moved = std::abs(event->position().x() - m_pressed->x());
    if (m_dragged_to || moved >= QApplication::startDragDistance()) {
      m_dragged_to = event->position();
      update();
      return;
    }
  }
  const std::int64_t position = axis(size()).token_at(event->position().x(), m_data.tokens);
  const std::optional<std::int64_t> pointed =
      position >= 0 ? std::optional(position) : std::nullopt;
  if (pointed != m_cursor) {
    point_at(pointed);
    if (pointed) {
      QToolTip::showText(event->globalPosition().toPoint(), m_data.text_at(*pointed), this);
    } else {
      QToolTip::hideText();
    }
  }
}

void TokenStripView::mouseReleaseEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton || !m_pressed || is_empty()) {
    return;
  }
  const double from = m_pressed->x();
  const bool dragged = m_dragged_to.has_value();
  m_pressed.reset();
  m_dragged_to.reset();
  update();
  if (!dragged) {
    return;
  }
  const TokenAxis shown = axis(size());
  const double to = event->position().x();
  const double low = std::max(shown.position(std::min(from, to)), shown.low);
  const double high = std::min(shown.position(std::max(from, to)), shown.high);
  if (low >= high) {
    return;
  }
  if (m_selecting) {
    Selection selection = workspace().view().selection();
    const auto begin = static_cast<std::int64_t>(std::floor(low));
    const auto end = std::min(static_cast<std::int64_t>(std::ceil(high)), m_data.tokens);
    selection.tokens = TokenRange{begin, std::max(end, begin + 1)};
    workspace().view().select(std::move(selection));
  } else {
    zoom_to(shown.showing(low, high, m_data.tokens));
  }
}

void TokenStripView::mouseDoubleClickEvent(QMouseEvent*) {
  fit();
}

void TokenStripView::leaveEvent(QEvent*) {
  point_at(std::nullopt);
}

void TokenStripView::keyPressEvent(QKeyEvent* event) {
  if (is_empty()) {
    PlotView::keyPressEvent(event);
    return;
  }
  const TokenAxis shown = axis(size());
  const double span = shown.high - shown.low;
  const double middle =
      m_cursor ? shown.x(static_cast<double>(*m_cursor) + 0.5) : 0.5 * (shown.left + shown.right);
  const bool shift = (event->modifiers() & Qt::ShiftModifier) != 0;
  ViewStack& view = workspace().view();
  switch (event->key()) {
    case Qt::Key_Left:
    case Qt::Key_A:
      return zoom_to(shown.panned(-kPanStep * span, m_data.tokens));
    case Qt::Key_Right:
    case Qt::Key_D:
      return zoom_to(shown.panned(kPanStep * span, m_data.tokens));
    case Qt::Key_Up:
    case Qt::Key_W:
    case Qt::Key_Plus:
      return zoom_to(shown.zoomed(kZoomStep, middle, m_data.tokens));
    case Qt::Key_Down:
    case Qt::Key_S:
    case Qt::Key_Minus:
      return zoom_to(shown.zoomed(1.0 / kZoomStep, middle, m_data.tokens));
    case Qt::Key_0:
      return fit();
    case Qt::Key_F:
      if (const auto& tokens = view.selection().tokens) {
        zoom_to(shown.showing(static_cast<double>(tokens->begin), static_cast<double>(tokens->end),
                              m_data.tokens));
      }
      return;
    case Qt::Key_Comma:
    case Qt::Key_Less:
    case Qt::Key_Semicolon:
      return walk(-1, shift);
    case Qt::Key_Period:
    case Qt::Key_Greater:
    case Qt::Key_Colon:
      return walk(1, shift);
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
      if (m_cursor) {
        Selection selection = view.selection();
        selection.tokens = TokenRange{*m_cursor, *m_cursor + 1};
        m_anchor = m_cursor;
        view.select(std::move(selection));
      }
      return;
    default:
      PlotView::keyPressEvent(event);
  }
}

}  // namespace kvsieve::gui
