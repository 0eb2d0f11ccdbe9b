#include "widgets/timeline_view.h"

#include <QApplication>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "core/qt_text.h"
#include "kvsieve/sim/number_text.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

/// Events are boxes of their own from this width on.
constexpr double kLeastBoxPx = 3.0;
constexpr double kZoomStep = 1.5;
constexpr double kPanShare = 0.2;
constexpr double kLargestRow = 60.0;
constexpr double kGap = 3.0;
constexpr double kCriticalPx = 2.0;
constexpr std::size_t kColours = 8;

/// Stages that take most of a step first, so that these get plain colours, all different.
constexpr std::array<const char*, 21> kStages{"mlp",
                                              "qkv",
                                              "output",
                                              "attention",
                                              "cpu-attention",
                                              "fetch",
                                              "up",
                                              "down",
                                              "fetched-attention",
                                              "resident-attention",
                                              "logits",
                                              "score",
                                              "topk",
                                              "union",
                                              "append",
                                              "merge",
                                              "encode",
                                              "cpu-score",
                                              "rotate",
                                              "sampling",
                                              "engine"};

double contrast(const QColor& a, const QColor& b) {
  const auto colour = [](const QColor& c) {
    return sim::Colour{static_cast<std::uint8_t>(c.red()), static_cast<std::uint8_t>(c.green()),
                       static_cast<std::uint8_t>(c.blue())};
  };
  return sim::contrast(colour(a), colour(b));
}

QString bytes_text(double bytes) {
  return qs(sim::number_text(bytes, sim::Unit::kBytes));
}

QString share_text(double share) {
  return qs(sim::number_text(share, sim::Unit::kShare));
}

/// "23.4 GB/s": 10^9 bytes a second.
QString rate_text(double bytes, double us) {
  return QStringLiteral("%1 GB/s").arg(qs(sim::significant(bytes / us * 1e-3, 3)));
}

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

void TimelineView::set_timelines(std::vector<std::shared_ptr<const TimelineDetail>> timelines,
                                 const QString& empty_text) {
  m_timelines = std::move(timelines);
  m_selected.reset();
  m_total_us = 0.0;
  QStringList origins;
  double height = 0.0;
  for (const auto& timeline : m_timelines) {
    m_total_us = std::max(m_total_us, timeline->events().total_us());
    origins << timeline->events().origin();
    height += static_cast<double>(timeline->events().rows().size() + 4) * (smallest_row() + kGap);
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
  setMinimumHeight(std::max(kSmallest, static_cast<int>(height)));
  choose_colours();
  set_range(std::nullopt);
  follow_selection();
  Q_EMIT content_changed();
  Q_EMIT event_selected();
  update();
}

void TimelineView::choose_colours() {
  m_looks.clear();
  std::map<QString, std::size_t> index_of;
  for (std::size_t stage = 0; stage < kStages.size(); ++stage) {
    index_of[QString::fromLatin1(kStages[stage])] = stage;
  }
  std::size_t others = 0;
  constexpr std::array<Qt::BrushStyle, 4> kPatterns{Qt::NoBrush, Qt::BDiagPattern, Qt::HorPattern,
                                                    Qt::Dense6Pattern};
  const QColor dark =
      is_dark(palette()) ? palette().color(QPalette::Base) : palette().color(QPalette::Text);
  const QColor light =
      is_dark(palette()) ? palette().color(QPalette::Text) : palette().color(QPalette::Base);
  for (const auto& timeline : m_timelines) {
    std::vector<Look>& looks = m_looks.emplace_back();
    for (const QString& name : timeline->events().names()) {
      const auto [at, is_new] = index_of.emplace(name, others);
      others += is_new ? 1 : 0;
      Look look;
      look.fill = category_colour(at->second, palette());
      look.text = contrast(look.fill, dark) > contrast(look.fill, light) ? dark : light;
      look.pattern = kPatterns[at->second / kColours % kPatterns.size()];
      looks.push_back(look);
    }
  }
}

// ---- where things are --------------------------------------------------------------------------

double TimelineView::smallest_row() const {
  return QFontMetricsF(font()).height() + 1.0;
}

TimelineView::Layout TimelineView::layout(const QSize& size) const {
  const QFontMetricsF metrics(font());
  Layout layout;
  layout.axis_px = metrics.height() + 8.0;
  double fixed = layout.axis_px + 4.0;
  double rows = 0.0;
  double widest = metrics.horizontalAdvance(QStringLiteral("exposed transfer"));
  for (const auto& timeline : m_timelines) {
    const TimelineEvents& events = timeline->events();
    fixed += metrics.height() + 8.0 + (events.steps().empty() ? 0.0 : metrics.height());
    rows += static_cast<double>(events.rows().size()) + (events.has_transfers() ? 0.5 : 0.0);
    fixed += kGap * (static_cast<double>(events.lanes().size()) + 1.0);
    for (const TimelineLane& lane : events.lanes()) {
      widest = std::max(widest, metrics.horizontalAdvance(lane.name));
    }
  }
  layout.label_px = std::min(widest + 12.0, 0.25 * size.width());
  const double row_px =
      std::clamp((size.height() - fixed) / std::max(rows, 1.0), smallest_row(), kLargestRow);
  double y = layout.axis_px;
  for (std::size_t t = 0; t < m_timelines.size(); ++t) {
    const TimelineEvents& events = m_timelines[t]->events();
    layout.title_y.push_back(y + 4.0);
    y += metrics.height() + 8.0;
    layout.step_y.push_back(y);
    y += events.steps().empty() ? 0.0 : metrics.height();
    for (const TimelineLane& lane : events.lanes()) {
      for (std::size_t row = lane.row_begin; row < lane.row_end; ++row) {
        layout.rows.push_back({t, row, row == lane.row_begin ? lane.name : QString(), y, row_px});
        y += row_px;
      }
      y += lane.row_begin < lane.row_end ? kGap : 0.0;
    }
    if (events.has_transfers()) {
      layout.rows.push_back({t, std::nullopt, QStringLiteral("exposed transfer"), y,
                             std::max(0.5 * row_px, smallest_row())});
      y += layout.rows.back().height + kGap;
    }
  }
  layout.bottom = y;
  return layout;
}

TimeMapping TimelineView::mapping(const Layout& layout, const QSize& size) const {
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

std::pair<double, double> TimelineView::shown_range() const {
  if (m_range) {
    return *m_range;
  }
  const TimeMapping shown = mapping();
  return {shown.low_us, shown.high_us};
}

const TimelineView::RowBox* TimelineView::box_at(const Layout& layout, double y) const {
  for (const RowBox& box : layout.rows) {
    if (y >= box.y && y < box.y + box.height) {
      return &box;
    }
  }
  return nullptr;
}

std::optional<TimelineView::Place> TimelineView::place_at(const QPointF& position) const {
  const Layout where = layout(size());
  const RowBox* box = box_at(where, position.y());
  const double x = position.x() - where.label_px;
  if (box == nullptr || !box->row || x < 0.0) {
    return std::nullopt;
  }
  const TimelineEvents& events = m_timelines[box->timeline]->events();
  const TimeMapping shown = mapping(where, size());
  // The event under the mouse, else the nearest one within two pixels.
  for (const double dx : {0.0, -1.0, 1.0, -2.0, 2.0}) {
    if (const auto event = events.at(*box->row, shown.us_of(x + dx))) {
      return Place{box->timeline, *event};
    }
  }
  return std::nullopt;
}

std::optional<QPoint> TimelineView::position_of(const Place& place) const {
  const Layout where = layout(size());
  const TimeMapping shown = mapping(where, size());
  const TimelineEvents& events = m_timelines[place.timeline]->events();
  const std::size_t row = events.row_of(place.event);
  for (const RowBox& box : where.rows) {
    if (box.timeline != place.timeline || box.row != row) {
      continue;
    }
    const double low = std::max(events.begin_us()[place.event], shown.low_us);
    const double high = std::min(events.end_us()[place.event], shown.high_us);
    if (low > high) {
      return std::nullopt;
    }
    return QPointF(where.label_px + shown.x_of((low + high) / 2.0), box.y + box.height / 2.0)
        .toPoint();
  }
  return std::nullopt;
}

// ---- what is selected --------------------------------------------------------------------------

void TimelineView::select(const Place& place) {
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
  Q_EMIT hovered(text_of(place).replace('\n', QStringLiteral(" · ")));
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

std::optional<std::pair<double, double>> TimelineView::selected_time() const {
  if (m_selected) {
    const TimelineEvent event =
        m_timelines[m_selected->timeline]->events().event(m_selected->event);
    return std::pair(event.begin_us, event.end_us);
  }
  if (const auto step = workspace().view().selection().step) {
    for (const auto& timeline : m_timelines) {
      for (const TimelineStep& one : timeline->events().steps()) {
        if (one.step == *step) {
          return std::pair(one.begin_us, one.end_us);
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
  if (m_timelines.empty()) {
    return;
  }
  if (!m_selected) {
    // The first event in view, from the top.
    const TimeMapping shown = mapping();
    for (const RowBox& box : layout(size()).rows) {
      const TimelineEvents& events = m_timelines[box.timeline]->events();
      for (std::size_t i = box.row ? events.rows()[*box.row].begin : 0;
           box.row && i < events.rows()[*box.row].end; ++i) {
        if (events.end_us()[i] > shown.low_us) {
          return select({box.timeline, i});
        }
      }
    }
    return;
  }
  const TimelineEvents& events = m_timelines[m_selected->timeline]->events();
  const TimelineRow& row = events.rows()[events.row_of(m_selected->event)];
  if (direction > 0 ? m_selected->event + 1 < row.end : m_selected->event > row.begin) {
    select({m_selected->timeline, direction > 0 ? m_selected->event + 1 : m_selected->event - 1});
  }
}

void TimelineView::step_across_rows(int direction) {
  if (!m_selected) {
    return step_in_row(1);
  }
  const Layout where = layout(size());
  const TimelineEvents& own = m_timelines[m_selected->timeline]->events();
  const std::size_t own_row = own.row_of(m_selected->event);
  const double at_us = own.begin_us()[m_selected->event];
  std::size_t at = 0;
  while (where.rows[at].timeline != m_selected->timeline || where.rows[at].row != own_row) {
    ++at;
  }
  for (auto next = static_cast<std::ptrdiff_t>(at) + direction;
       next >= 0 && next < static_cast<std::ptrdiff_t>(where.rows.size()); next += direction) {
    const RowBox& box = where.rows[static_cast<std::size_t>(next)];
    if (!box.row) {
      continue;
    }
    const TimelineEvents& events = m_timelines[box.timeline]->events();
    const TimelineRow& row = events.rows()[*box.row];
    const auto begin = events.begin_us().begin();
    const auto after = std::upper_bound(begin + static_cast<std::ptrdiff_t>(row.begin),
                                        begin + static_cast<std::ptrdiff_t>(row.end), at_us);
    const auto event = static_cast<std::size_t>(after - begin);
    return select({box.timeline, event > row.begin ? event - 1 : row.begin});
  }
}

void TimelineView::set_range(std::optional<std::pair<double, double>> range) {
  if (range) {
    range = std::minmax(std::clamp(range->first, 0.0, m_total_us),
                        std::clamp(range->second, 0.0, m_total_us));
  }
  if (range != m_range) {
    m_range = range;
    Q_EMIT measured(range_text());
    Q_EMIT content_changed();
    update();
  }
}

QString TimelineView::range_text() const {
  if (!m_range) {
    return {};
  }
  QStringList parts{time_text(m_range->second - m_range->first)};
  for (const auto& timeline : m_timelines) {
    const TimelineEvents& events = timeline->events();
    const RangeFigures figures = events.figures(m_range->first, m_range->second);
    QStringList own;
    if (m_timelines.size() > 1) {
      own << events.origin();
    }
    if (events.has_transfers()) {
      own << QStringLiteral("%1 moved").arg(bytes_text(figures.bytes));
    }
    for (std::size_t lane = 0; lane < events.lanes().size() && figures.us > 0.0; ++lane) {
      own << QStringLiteral("%1 busy %2")
                 .arg(events.lanes()[lane].name, share_text(figures.busy_us[lane] / figures.us));
    }
    parts << own.join(QStringLiteral(", "));
  }
  return parts.join(QStringLiteral(" · "));
}

// ---- what it says ------------------------------------------------------------------------------

QString TimelineView::text_of(const Place& place) const {
  const TimelineEvents& events = m_timelines[place.timeline]->events();
  const TimelineEvent event = events.event(place.event);
  QStringList lines;
  lines << QStringLiteral("%1 on %2 (%3)")
               .arg(events.name_of(place.event),
                    events.lanes()[static_cast<std::size_t>(event.lane)].name, events.origin());
  lines << QStringLiteral("begins at %1").arg(exact_time_text(event.begin_us));
  lines << QStringLiteral("takes %1 (%2)").arg(time_text(event.us()), exact_time_text(event.us()));
  if (event.alone_us >= 0.0) {
    lines << QStringLiteral("alone %1").arg(exact_time_text(event.alone_us));
    if (event.alone_us > 0.0) {
      lines.back() += QStringLiteral(" (×%1)").arg(qs(sim::fixed(event.us() / event.alone_us, 2)));
    }
  }
  if (event.bytes > 0) {
    lines << QStringLiteral("%1 (%2 B)")
                 .arg(bytes_text(static_cast<double>(event.bytes)), qs(sim::grouped(event.bytes)));
    if (event.pieces > 0) {
      lines.back() += QStringLiteral(" in %1").arg(qs(sim::counted(event.pieces, "piece")));
    }
    if (event.us() > 0.0) {
      lines << QStringLiteral("achieved %1 (bytes / time)")
                   .arg(rate_text(static_cast<double>(event.bytes), event.us()));
    }
  }
  QStringList where;
  if (event.step >= 0) {
    where << QStringLiteral("step %1").arg(event.step);
  }
  if (event.layer >= 0) {
    where << QStringLiteral("layer %1").arg(event.layer);
  }
  if (event.micro_batch >= 0) {
    where << QStringLiteral("micro-batch %1").arg(event.micro_batch);
  }
  if (event.critical) {
    where << QStringLiteral("on the critical path");
  }
  if (!where.isEmpty()) {
    lines << where.join(QStringLiteral(", "));
  }
  return lines.join('\n');
}

QString TimelineView::text_at(const QPointF& position) const {
  const Layout where = layout(size());
  const RowBox* box = box_at(where, position.y());
  const double x = position.x() - where.label_px;
  if (box == nullptr || x < 0.0) {
    return {};
  }
  const TimeMapping shown = mapping(where, size());
  const TimelineDetail& timeline = *m_timelines[box->timeline];
  const TimelineEvents& events = timeline.events();
  if (!box->row) {
    const double low = shown.us_of(x - 1.0);
    const double high = shown.us_of(x + 1.0);
    const double us = events.exposed().covered(low, high);
    return us > 0.0 ? QStringLiteral(
                          "exposed transfer: something crosses the link and nothing "
                          "computes\n%1 of %2")
                          .arg(share_text(us / (high - low)), time_text(high - low))
                    : QString();
  }
  // Where a pixel holds several events, what the pixel shows is told.
  const TimeMapping pixel{shown.us_of(std::floor(x)), shown.us_of(std::floor(x) + 1.0), 1.0};
  const std::vector<RowMark> marks = timeline.row(*box->row).marks(pixel, kLeastBoxPx);
  const TimelineRow& row = events.rows()[*box->row];
  const auto count = [&](std::span<const double> values, double us) {
    return std::lower_bound(values.begin() + static_cast<std::ptrdiff_t>(row.begin),
                            values.begin() + static_cast<std::ptrdiff_t>(row.end), us) -
           values.begin();
  };
  const auto several =
      count(events.begin_us(), pixel.high_us) - count(events.end_us(), pixel.low_us);
  if (several > 2 && !marks.empty() && marks.front().event < 0) {
    const RowMark& mark = marks.front();
    return QStringLiteral("%1 on %2 (%3) within %4\nmostly %5, busy %6%7")
        .arg(qs(sim::counted(several, "event")), events.lanes()[row.lane].name, events.origin(),
             time_text(pixel.span_us()), events.names()[static_cast<std::size_t>(mark.name)],
             share_text(mark.coverage),
             mark.critical ? QStringLiteral(", critical path within") : QString());
  }
  const std::optional<Place> place = place_at(position);
  return place ? text_of(*place) : QString();
}

sim::Table TimelineView::table() const {
  sim::Table table;
  table.columns = {{"timeline", false},
                   {"lane", false},
                   {"event", false},
                   {"events"},
                   {"time"},
                   {"mean"},
                   {"longest"},
                   {"on the critical path"},
                   {"bytes"},
                   {"pieces"}};
  const auto [low, high] = shown_range();
  for (const auto& timeline : m_timelines) {
    const TimelineEvents& events = timeline->events();
    for (const NameSum& sum : events.sums(low, high)) {
      const auto cell = [](const QString& text) { return sim::Cell{text.toStdString()}; };
      const bool moves = sum.bytes > 0.0;
      table.rows.push_back(
          {cell(QStringLiteral("%1 (%2)").arg(events.title(), events.origin())),
           cell(events.lanes()[sum.lane].name),
           cell(events.names()[static_cast<std::size_t>(sum.name)]),
           cell(qs(sim::grouped(sum.events))), cell(time_text(sum.us)),
           cell(time_text(sum.us / static_cast<double>(sum.events))),
           cell(time_text(sum.longest_us)), cell(time_text(sum.critical_us)),
           cell(moves ? bytes_text(sum.bytes) : QString()),
           cell(moves ? qs(sim::number_text(sum.pieces, sim::Unit::kTokens)) : QString())});
    }
  }
  return table;
}

QString TimelineView::csv() const {
  const auto quoted = [](QString text) {
    return '"' + text.replace('"', QStringLiteral("\"\"")) + '"';
  };
  const auto number = [](double value) { return QString::number(value, 'g', 17); };
  QStringList lines{QStringLiteral(
      "timeline,origin,lane,event,begin_us,end_us,events,us,longest_us,critical_us,bytes,pieces")};
  const auto [low, high] = shown_range();
  for (const auto& timeline : m_timelines) {
    const TimelineEvents& events = timeline->events();
    for (const NameSum& sum : events.sums(low, high)) {
      lines << QStringList{quoted(events.title()),
                           events.origin(),
                           quoted(events.lanes()[sum.lane].name),
                           quoted(events.names()[static_cast<std::size_t>(sum.name)]),
                           number(low),
                           number(high),
                           QString::number(sum.events),
                           number(sum.us),
                           number(sum.longest_us),
                           number(sum.critical_us),
                           number(sum.bytes),
                           number(sum.pieces)}
                   .join(',');
    }
  }
  return lines.join(QStringLiteral("\r\n")) + QStringLiteral("\r\n");
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
  const Layout where = layout(size());
  if (m_mouse && m_mouse->x() >= where.label_px) {
    // One cursor through all lanes of all timelines.
    painter.setPen(QPen(faint_text(palette()), 1.0, Qt::DotLine));
    painter.drawLine(QPointF(m_mouse->x(), where.axis_px), QPointF(m_mouse->x(), where.bottom));
    const QString time =
        exact_time_text(mapping(where, size()).us_of(m_mouse->x() - where.label_px));
    const double width = painter.fontMetrics().horizontalAdvance(time) + 8.0;
    const QRectF box(std::min(m_mouse->x() + 4.0, this->width() - width), 0.0, width,
                     where.axis_px - 3.0);
    painter.fillRect(box, palette().color(QPalette::Base));
    painter.setPen(palette().color(QPalette::Text));
    painter.drawText(box, Qt::AlignCenter, time);
  }
  if (hasFocus()) {
    painter.setPen(QPen(palette().color(QPalette::Highlight), 1.0));
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(QRectF(0.5, 0.5, width() - 1.0, height() - 1.0));
  }
}

void TimelineView::paint(QPainter& painter, const QSize& size) {
  painter.fillRect(QRect(QPoint(0, 0), size), palette().color(QPalette::Base));
  if (m_timelines.empty()) {
    return;
  }
  const Layout where = layout(size);
  const TimeMapping shown = mapping(where, size);
  paint_axis(painter, where, shown);
  painter.save();
  painter.setClipRect(QRectF(where.label_px, where.axis_px, shown.width_px,
                             std::max(0.0, size.height() - where.axis_px)));
  painter.translate(where.label_px, 0.0);
  paint_steps(painter, where, shown);
  for (const RowBox& box : where.rows) {
    if (box.y > size.height()) {
      break;
    }
    if (box.row) {
      paint_row(painter, box, shown);
    } else {
      paint_exposed(painter, box, shown);
    }
  }
  if (m_range) {
    paint_range(painter, where, shown);
  }
  painter.restore();
}

void TimelineView::paint_axis(QPainter& painter, const Layout& where,
                              const TimeMapping& shown) const {
  const QFontMetricsF metrics(painter.font());
  const QColor text = palette().color(QPalette::Text);
  const QColor faint = faint_text(palette());
  constexpr double kLeastTickPx = 90.0;
  const TimeAxis axis = time_axis(shown, kLeastTickPx);
  for (const TimeTick& tick : axis.ticks) {
    const double x = where.label_px + shown.x_of(tick.us);
    painter.setPen(QPen(grid_line(palette()), 1.0));
    painter.drawLine(QPointF(x, where.axis_px - 4.0), QPointF(x, where.bottom));
    painter.setPen(text);
    const QString label = qs(tick.label) + ' ' + axis.unit;
    const double width = metrics.horizontalAdvance(label);
    // The outermost labels stay inside.
    const double left =
        std::clamp(x - width / 2.0, where.label_px,
                   std::max(where.label_px, where.label_px + shown.width_px - width));
    painter.drawText(QPointF(left, metrics.ascent() + 2.0), label);
  }
  for (std::size_t t = 0; t < m_timelines.size(); ++t) {
    const TimelineEvents& events = m_timelines[t]->events();
    const double y = where.title_y[t];
    if (t > 0) {
      painter.setPen(QPen(faint, 1.0));
      painter.drawLine(QPointF(0.0, y - 3.0), QPointF(where.label_px + shown.width_px, y - 3.0));
    }
    QFont bold = painter.font();
    bold.setBold(true);
    const QFont plain = painter.font();
    painter.setFont(bold);
    painter.setPen(text);
    const QString title = QStringLiteral("%1 (%2)").arg(events.title(), events.origin());
    painter.drawText(QPointF(6.0, y + metrics.ascent()),
                     QFontMetricsF(bold).elidedText(title, Qt::ElideMiddle,
                                                    where.label_px + shown.width_px - 12));
    painter.setFont(plain);
  }
  for (const RowBox& box : where.rows) {
    painter.setPen(box.row ? text : faint);
    painter.drawText(QRectF(6.0, box.y, where.label_px - 10.0, box.height),
                     Qt::AlignVCenter | Qt::AlignLeft,
                     metrics.elidedText(box.label, Qt::ElideMiddle, where.label_px - 10.0));
  }
}

void TimelineView::paint_steps(QPainter& painter, const Layout& where,
                               const TimeMapping& shown) const {
  const QFontMetricsF metrics(painter.font());
  const std::optional<std::int64_t> selected = workspace().view().selection().step;
  QColor band = palette().color(QPalette::Highlight);
  band.setAlpha(45);
  for (std::size_t t = 0; t < m_timelines.size(); ++t) {
    const std::vector<TimelineStep>& steps = m_timelines[t]->events().steps();
    if (steps.empty()) {
      continue;
    }
    const double top = where.step_y[t];
    double bottom = top;
    for (const RowBox& box : where.rows) {
      bottom = box.timeline == t ? box.y + box.height : bottom;
    }
    const auto first = std::partition_point(
        steps.begin(), steps.end(), [&](const TimelineStep& s) { return s.end_us < shown.low_us; });
    // Boundaries that would stand shoulder to shoulder say nothing.
    constexpr double kLeastStepPx = 24.0;
    double last_x = -kLeastStepPx;
    double text_end = 0.0;
    for (auto step = first; step != steps.end() && step->begin_us <= shown.high_us; ++step) {
      const double x = shown.x_of(step->begin_us);
      const double end = shown.x_of(step->end_us);
      if (selected == step->step) {
        painter.fillRect(QRectF(x, top, std::max(1.0, end - x), bottom - top), band);
      }
      if (x - last_x < kLeastStepPx && x > 0.0) {
        continue;
      }
      last_x = x;
      painter.setPen(QPen(faint_text(palette()), 1.0, Qt::DashLine));
      painter.drawLine(QPointF(x, top), QPointF(x, bottom));
      const QString label = QStringLiteral("step %1").arg(step->step);
      const double left = std::max(x, 0.0) + 4.0;
      const double width = metrics.horizontalAdvance(label);
      if (left >= text_end && left + width < end) {
        painter.setPen(faint_text(palette()));
        painter.drawText(QPointF(left, top + metrics.ascent()), label);
        text_end = left + width + 8.0;
      }
    }
  }
}

void TimelineView::paint_row(QPainter& painter, const RowBox& box, const TimeMapping& shown) const {
  const TimelineDetail& timeline = *m_timelines[box.timeline];
  const std::size_t first = timeline.events().rows()[*box.row].begin;
  const std::vector<Look>& looks = m_looks[box.timeline];
  const QColor critical = palette().color(QPalette::Text);
  for (const RowMark& mark : timeline.row(*box.row).marks(shown, kLeastBoxPx)) {
    if (mark.event >= 0) {
      paint_event(painter, box, mark, first + static_cast<std::size_t>(mark.event));
      continue;
    }
    // A column fills as much of the lane's height as its time is covered.
    const double height = std::max(1.0, mark.coverage * (box.height - kCriticalPx));
    painter.fillRect(QRectF(mark.x_low, box.y + box.height - height, 1.0, height),
                     looks[static_cast<std::size_t>(mark.name)].fill);
    if (mark.critical) {
      painter.fillRect(QRectF(mark.x_low, box.y, 1.0, kCriticalPx), critical);
    }
  }
}

void TimelineView::paint_event(QPainter& painter, const RowBox& box, const RowMark& mark,
                               std::size_t event) const {
  const Look& look = m_looks[box.timeline][static_cast<std::size_t>(mark.name)];
  const QRectF rect(mark.x_low, box.y + 1.0, mark.x_high - mark.x_low, box.height - 2.0);
  painter.fillRect(rect, look.fill);
  constexpr double kPatternPx = 6.0;
  if (look.pattern != Qt::NoBrush && rect.width() >= kPatternPx) {
    QColor lines = look.text;
    lines.setAlpha(70);
    painter.fillRect(rect, QBrush(lines, look.pattern));
  }
  constexpr double kOutlinedPx = 8.0;
  if (mark.critical && rect.width() < kOutlinedPx) {
    painter.fillRect(QRectF(rect.left(), box.y, rect.width(), kCriticalPx),
                     palette().color(QPalette::Text));
  } else if (mark.critical) {
    QPen pen(palette().color(QPalette::Text), kCriticalPx);
    pen.setJoinStyle(Qt::MiterJoin);
    painter.setPen(pen);
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(rect.adjusted(1.0, 1.0, -1.0, -1.0));
  } else {
    // Neighbours of one colour stay apart.
    painter.fillRect(QRectF(rect.right() - 0.5, rect.top(), 0.5, rect.height()),
                     palette().color(QPalette::Base));
  }
  const TimelineEvents& events = m_timelines[box.timeline]->events();
  if (const auto& heads = workspace().view().selection().heads; !heads.empty()) {
    const std::int32_t layer = events.event(event).layer;
    const bool chosen = std::any_of(heads.begin(), heads.end(),
                                    [&](const HeadId& head) { return head.layer == layer; });
    if (chosen) {
      painter.fillRect(QRectF(rect.left(), rect.bottom() - 3.0, rect.width(), 3.0),
                       palette().color(QPalette::Highlight));
    }
  }
  if (m_selected == Place{box.timeline, event}) {
    painter.setPen(QPen(palette().color(QPalette::Highlight), 3.0));
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(rect.adjusted(1.5, 1.5, -1.5, -1.5));
  }
  constexpr double kTextPx = 26.0;
  constexpr double kPaddingPx = 6.0;
  if (rect.width() < kTextPx || rect.height() < painter.fontMetrics().height() - 2.0) {
    return;
  }
  const QFontMetricsF metrics(painter.font());
  const QRectF inside = rect.intersected(QRectF(0.0, rect.top(), 1e6, rect.height()))
                            .adjusted(kPaddingPx, 0.0, -kPaddingPx, 0.0);
  const QString text = metrics.elidedText(events.name_of(event), Qt::ElideRight, inside.width());
  painter.setPen(look.text);
  if (look.pattern != Qt::NoBrush) {
    const double width = metrics.horizontalAdvance(text);
    painter.fillRect(QRectF(inside.left() - 1.0, inside.center().y() - metrics.height() / 2.0 + 1.0,
                            width + 2.0, metrics.height() - 2.0)
                         .intersected(rect.adjusted(2.0, 2.0, -2.0, -2.0)),
                     look.fill);
  }
  painter.drawText(inside, Qt::AlignVCenter | Qt::AlignLeft, text);
}

void TimelineView::paint_exposed(QPainter& painter, const RowBox& box,
                                 const TimeMapping& shown) const {
  const QColor colour = ink(sim::Ink::kWarm, palette());
  painter.setPen(QPen(colour, 1.0));
  painter.setBrush(QBrush(colour, Qt::BDiagPattern));
  for (const RowMark& mark : m_timelines[box.timeline]->exposed().marks(shown, kLeastBoxPx)) {
    if (mark.event >= 0) {
      painter.drawRect(QRectF(mark.x_low, box.y, mark.x_high - mark.x_low, box.height - 1.0));
    } else {
      const double height = std::max(1.0, mark.coverage * box.height);
      painter.fillRect(QRectF(mark.x_low, box.y + box.height - height, 1.0, height), colour);
    }
  }
}

void TimelineView::paint_range(QPainter& painter, const Layout& where,
                               const TimeMapping& shown) const {
  const double left = shown.x_of(m_range->first);
  const double right = shown.x_of(m_range->second);
  QColor fill = palette().color(QPalette::Highlight);
  fill.setAlpha(50);
  const QRectF rect(left, where.axis_px, right - left, where.bottom - where.axis_px);
  painter.fillRect(rect, fill);
  painter.setPen(QPen(palette().color(QPalette::Highlight), 2.0));
  painter.drawLine(rect.topLeft(), rect.bottomLeft());
  painter.drawLine(rect.topRight(), rect.bottomRight());
  const QString text = time_text(m_range->second - m_range->first);
  const QFontMetricsF metrics(painter.font());
  const double width = metrics.horizontalAdvance(text) + 10.0;
  const double x =
      std::clamp(rect.center().x() - width / 2.0, 0.0, std::max(0.0, shown.width_px - width));
  const QRectF label(x, where.axis_px + 2.0, width, metrics.height() + 2.0);
  painter.fillRect(label, palette().color(QPalette::Highlight));
  painter.setPen(palette().color(QPalette::HighlightedText));
  painter.drawText(label, Qt::AlignCenter, text);
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
    choose_colours();
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
    Q_EMIT hovered(range_text());
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
    if (const std::optional<Place> place = place_at(event->position())) {
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
