#include "widgets/timeline_view.h"

#include <QApplication>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "core/timeline_text.h"

namespace kvsieve::gui {
namespace {

constexpr double kZoomStep = 1.5;
constexpr double kPanShare = 0.2;

}  // namespace

TimelineView::TimelineView(QString id, Workspace& workspace)
    : PlotView(std::move(id), QStringLiteral("Timeline"), workspace) {
  setMouseTracking(true);
  setMinimumHeight(120);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(&workspace.view(), &ViewStack::zoom_changed, this, qOverload<>(&QWidget::update));
  connect(&workspace.view(), &ViewStack::selection_changed, this, &TimelineView::follow_selection);
}

TimelineView::~TimelineView() = default;

void TimelineView::set_timelines(Timelines timelines, const QString& empty_text) {
  m_timelines = std::move(timelines);
  m_selected.reset();
  m_total_us = 0.0;
  QStringList origins;
  for (const auto& timeline : m_timelines) {
    m_total_us = std::max(m_total_us, timeline->events().total_us());
    origins << timeline->events().origin();
  }
  origins.removeDuplicates();
  set_origin(origins.join(QStringLiteral(" above ")));
  set_note(m_timelines.empty()
               ? QString()
               : QStringLiteral("Outlined, or a line on top: critical path. Hatched: "
                                "transfers that nothing hides. "
                                "Drag measures, Ctrl+wheel or W and S zoom, A and D pan, 0 fits."));
  set_empty_text(empty_text);
  constexpr int kSmallest = 120;
  const double height = least_height_px(m_timelines, QFontMetricsF(font()).height());
  setMinimumHeight(std::max(kSmallest, static_cast<int>(std::ceil(height))));
  m_painter = TimelinePainter(m_timelines, palette());
  set_range(std::nullopt);
  follow_selection();
  Q_EMIT content_changed();
  Q_EMIT event_selected();
  update();
}

// ---- where things are --------------------------------------------------------------------------

TimelineLayout TimelineView::layout(const QSize& size) const {
  const QFontMetricsF metrics(font());
  double widest = 0.0;
  for (const QString& label : timeline_labels(m_timelines)) {
    widest = std::max(widest, metrics.horizontalAdvance(label));
  }
  return timeline_layout(m_timelines, size.height(), metrics.height(),
                         std::min(widest + 12.0, 0.25 * size.width()));
}

TimeMapping TimelineView::mapping(const TimelineLayout& layout, const QSize& size) const {
  TimeMapping mapping{0.0, m_total_us, std::max(1.0, size.width() - layout.label_px)};
  if (const std::optional<Zoom> zoom = workspace().view().zoom(id())) {
    mapping.low_us = zoom->x_low;
    mapping.high_us = zoom->x_high;
  }
  return mapping.clamped(m_total_us);
}

TimeMapping TimelineView::mapping() const {
  return mapping(layout(size()), size());
}

void TimelineView::show_time(const TimeMapping& wanted) {
  const TimeMapping next = wanted.clamped(m_total_us);
  const bool everything = next.low_us <= 0.0 && next.high_us >= m_total_us;
  workspace().view().set_zoom(
      id(), everything ? std::nullopt : std::optional(Zoom{next.low_us, next.high_us, 0.0, 0.0}));
}

void TimelineView::focus(double begin_us, double end_us) {
  show_time(mapping().focused(begin_us, end_us, m_total_us));
}

Stretch TimelineView::shown_range() const {
  if (m_range) {
    return *m_range;
  }
  const TimeMapping shown = mapping();
  return {shown.low_us, shown.high_us};
}

std::optional<TimelinePlace> TimelineView::place_at(const QPointF& position) const {
  const TimelineLayout where = layout(size());
  const TimelineBox* box = where.box_at(position.y());
  const double x = position.x() - where.label_px;
  if (box == nullptr || !box->row || x < 0.0) {
    return std::nullopt;
  }
  const auto event =
      event_near(m_timelines[box->timeline]->events(), *box->row, mapping(where, size()), x);
  return event ? std::optional(TimelinePlace{box->timeline, *event}) : std::nullopt;
}

std::optional<QPoint> TimelineView::position_of(const TimelinePlace& place) const {
  const TimelineLayout where = layout(size());
  const auto middle = middle_of(m_timelines, where, mapping(where, size()), place);
  return middle ? std::optional(middle->toPoint()) : std::nullopt;
}

QString TimelineView::text_at(const QPointF& position) const {
  const TimelineLayout where = layout(size());
  const TimelineBox* box = where.box_at(position.y());
  const double x = position.x() - where.label_px;
  return box != nullptr && x >= 0.0
             ? pixel_text(*m_timelines[box->timeline], box->row, mapping(where, size()), x)
             : QString();
}

// ---- what is selected --------------------------------------------------------------------------

void TimelineView::select(const TimelinePlace& place) {
  const TimelineEvents& events = m_timelines[place.timeline]->events();
  const TimelineEvent event = events.event(place.event);
  m_selected = place;
  Selection selection = workspace().view().selection();
  if (event.step >= 0) {
    selection.step = event.step;
  }
  std::vector<HeadId> heads;
  if (const auto& run = workspace().run(); run && event.layer >= 0) {
    for (const sim::LayerView& layer : run->view().layers) {
      for (std::size_t i = 0; i < layer.heads.size() && layer.layer == event.layer; ++i) {
        heads.push_back(
            {layer.layer, layer.heads[i].integer_or("head", static_cast<std::int64_t>(i))});
      }
    }
  }
  if (!heads.empty()) {
    selection = select_heads(std::move(selection), std::move(heads), false);
  }
  workspace().view().select(std::move(selection));
  const TimeMapping shown = mapping();
  if (event.end_us <= shown.low_us || event.begin_us >= shown.high_us) {
    const double by = (event.begin_us + event.end_us - shown.low_us - shown.high_us) / 2.0;
    show_time(shown.panned(by * shown.px_per_us()));
  }
  Q_EMIT hovered(event_text(events, place.event).replace('\n', QStringLiteral(" · ")));
  Q_EMIT event_selected();
  update();
}

void TimelineView::follow_selection() {
  // A step that was selected elsewhere, or nothing any more: the event is no longer what is meant.
  if (m_selected) {
    const std::int32_t step =
        m_timelines[m_selected->timeline]->events().event(m_selected->event).step;
    if (step >= 0 && workspace().view().selection().step != step) {
      m_selected.reset();
      Q_EMIT event_selected();
    }
  }
  update();
}

bool TimelineView::find(const QString& text, bool forward) {
  for (std::size_t i = 0; i < m_timelines.size(); ++i) {
    // From the selected event on; where it is not in this timeline, from the first.
    const std::size_t t = ((m_selected ? m_selected->timeline : 0) + i) % m_timelines.size();
    const bool own = m_selected && m_selected->timeline == t;
    if (const auto event = m_timelines[t]->events().find(
            text, own ? std::optional(m_selected->event) : std::nullopt, forward)) {
      select({t, *event});
      return true;
    }
  }
  return false;
}

std::optional<Stretch> TimelineView::selected_time() const {
  if (m_selected) {
    const TimelineEvent event =
        m_timelines[m_selected->timeline]->events().event(m_selected->event);
    return Stretch(event.begin_us, event.end_us);
  }
  if (const auto step = workspace().view().selection().step) {
    for (const auto& timeline : m_timelines) {
      for (const TimelineStep& one : timeline->events().steps()) {
        if (one.step == *step) {
          return Stretch(one.begin_us, one.end_us);
        }
      }
    }
  }
  return std::nullopt;
}

void TimelineView::focus_selected() {
  const auto time = m_range ? m_range : selected_time();
  if (time) {
    focus(time->first, time->second);
  }
}

void TimelineView::step_in_row(int direction) {
  const auto next = m_selected ? next_in_row(m_timelines, *m_selected, direction)
                               : first_after(m_timelines, layout(size()), mapping().low_us);
  if (next) {
    select(*next);
  }
}

void TimelineView::step_across_rows(int direction) {
  if (!m_selected) {
    return step_in_row(1);
  }
  if (const auto next = next_across_rows(m_timelines, layout(size()), *m_selected, direction)) {
    select(*next);
  }
}

void TimelineView::set_range(std::optional<Stretch> range) {
  if (range) {
    range = std::minmax(std::clamp(range->first, 0.0, m_total_us),
                        std::clamp(range->second, 0.0, m_total_us));
  }
  if (range != m_range) {
    m_range = range;
    Q_EMIT measured(measured_text());
    Q_EMIT content_changed();
    update();
  }
}

QString TimelineView::measured_text() const {
  return m_range ? range_text(m_timelines, *m_range) : QString();
}

sim::Table TimelineView::table() const {
  return timeline_table(m_timelines, shown_range());
}

QString TimelineView::csv() const {
  return timeline_csv(m_timelines, shown_range());
}

// ---- painting ----------------------------------------------------------------------------------

void TimelineView::draw(QPaintDevice& device, const QSize& size) {
  QPainter painter(&device);
  painter.setFont(font());
  paint(painter, size);
}

void TimelineView::paintEvent(QPaintEvent* /*event*/) {
  QPainter painter(this);
  paint(painter, size());
  const TimelineLayout where = layout(size());
  if (m_mouse && m_mouse->x() >= where.label_px) {
    m_painter.paint_cursor(painter, where, mapping(where, size()), m_mouse->x());
  }
  if (hasFocus()) {
    painter.setPen(QPen(palette().color(QPalette::Highlight), 1.0));
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(QRectF(0.5, 0.5, width() - 1.0, height() - 1.0));
  }
}

void TimelineView::paint(QPainter& painter, const QSize& size) {
  const TimelineLayout where = layout(size);
  m_painter.paint(painter, size, where, mapping(where, size),
                  {workspace().view().selection(), m_selected, m_range});
}

// ---- mouse and keys ----------------------------------------------------------------------------

bool TimelineView::event(QEvent* event) {
  // Esc takes the range away first; what it does to the selection is the window's.
  if (event->type() == QEvent::ShortcutOverride && m_range &&
      static_cast<QKeyEvent*>(event)->key() == Qt::Key_Escape) {
    event->accept();
    return true;
  }
  return PlotView::event(event);
}

void TimelineView::changeEvent(QEvent* event) {
  PlotView::changeEvent(event);
  if (event->type() == QEvent::PaletteChange) {
    m_painter = TimelinePainter(m_timelines, palette());
    update();
  }
}

void TimelineView::keyPressEvent(QKeyEvent* event) {
  if (m_timelines.empty()) {
    return PlotView::keyPressEvent(event);
  }
  const TimeMapping shown = mapping();
  const double label_px = layout(size()).label_px;
  const double x =
      m_mouse && m_mouse->x() >= label_px ? m_mouse->x() - label_px : shown.width_px / 2.0;
  const bool shift = (event->modifiers() & Qt::ShiftModifier) != 0;
  const auto stretch = [&](double share) {
    const double middle = (shown.low_us + shown.high_us) / 2.0;
    const auto from = m_range.value_or(std::pair(middle, middle));
    set_range(std::pair(from.first, from.second + share * shown.span_us()));
  };
  constexpr double kStretchShare = 0.05;
  switch (event->key()) {
    case Qt::Key_W:
    case Qt::Key_Plus:
      return show_time(shown.zoomed(kZoomStep, x));
    case Qt::Key_S:
    case Qt::Key_Minus:
      return show_time(shown.zoomed(1.0 / kZoomStep, x));
    case Qt::Key_A:
      return show_time(shown.panned(-kPanShare * shown.width_px));
    case Qt::Key_D:
      return show_time(shown.panned(kPanShare * shown.width_px));
    case Qt::Key_Left:
      return shift ? stretch(-kStretchShare) : show_time(shown.panned(-kPanShare * shown.width_px));
    case Qt::Key_Right:
      return shift ? stretch(kStretchShare) : show_time(shown.panned(kPanShare * shown.width_px));
    case Qt::Key_Up:
      return step_across_rows(-1);
    case Qt::Key_Down:
      return step_across_rows(1);
    case Qt::Key_Period:
      return step_in_row(1);
    case Qt::Key_Comma:
      return step_in_row(-1);
    case Qt::Key_0:
      return fit();
    case Qt::Key_F:
      return focus_selected();
    case Qt::Key_M:
      return set_range(selected_time());
    case Qt::Key_Escape:
      return set_range(std::nullopt);
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
      return m_selected ? select(*m_selected) : step_in_row(1);
    default:
      PlotView::keyPressEvent(event);
  }
}

void TimelineView::wheelEvent(QWheelEvent* event) {
  if (m_timelines.empty()) {
    return event->ignore();
  }
  event->accept();
  const double turns = (event->angleDelta().y() + event->angleDelta().x()) / 120.0;
  const TimeMapping shown = mapping();
  if (event->modifiers() & Qt::ControlModifier) {
    show_time(
        shown.zoomed(std::pow(kZoomStep, turns), event->position().x() - layout(size()).label_px));
  } else {
    show_time(shown.panned(-turns * kPanShare * shown.width_px));
  }
}

void TimelineView::mousePressEvent(QMouseEvent* event) {
  const bool middle = event->button() == Qt::MiddleButton;
  if (m_timelines.empty() || (event->button() != Qt::LeftButton && !middle)) {
    return PlotView::mousePressEvent(event);
  }
  m_pressed = event->position();
  m_pressed_mapping = mapping();
  m_drag = middle || (event->modifiers() & Qt::ShiftModifier) ? Drag::kPan : Drag::kNone;
}

void TimelineView::mouseMoveEvent(QMouseEvent* event) {
  m_mouse = event->position();
  if (m_timelines.empty()) {
    return;
  }
  if (m_pressed && m_drag == Drag::kNone &&
      std::abs(event->position().x() - m_pressed->x()) >= QApplication::startDragDistance()) {
    m_drag = Drag::kMeasure;
  }
  if (m_pressed && m_drag == Drag::kPan) {
    show_time(m_pressed_mapping.panned(m_pressed->x() - event->position().x()));
  } else if (m_pressed && m_drag == Drag::kMeasure) {
    const double label_px = layout(size()).label_px;
    const TimeMapping shown = mapping();
    set_range(std::pair(shown.us_of(m_pressed->x() - label_px),
                        shown.us_of(event->position().x() - label_px)));
    Q_EMIT hovered(measured_text());
  } else {
    const QString text = text_at(event->position());
    QToolTip::showText(event->globalPosition().toPoint(), text, this);
    QString line = text;
    Q_EMIT hovered(line.replace('\n', QStringLiteral(" · ")));
  }
  update();
}

void TimelineView::mouseReleaseEvent(QMouseEvent* event) {
  const bool click = m_pressed && m_drag == Drag::kNone && event->button() == Qt::LeftButton;
  m_pressed.reset();
  m_drag = Drag::kNone;
  if (click) {
    set_range(std::nullopt);
    if (const std::optional<TimelinePlace> place = place_at(event->position())) {
      select(*place);
    }
  }
}

void TimelineView::mouseDoubleClickEvent(QMouseEvent* /*event*/) {
  m_pressed.reset();
  fit();
}

void TimelineView::leaveEvent(QEvent* event) {
  PlotView::leaveEvent(event);
  m_mouse.reset();
  Q_EMIT hovered({});
  update();
}

}  // namespace kvsieve::gui
