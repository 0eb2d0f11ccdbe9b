#include "widgets/timeline_painter.h"

#include <algorithm>
#include <array>
#include <map>

#include "core/qt_text.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

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
  return sim::contrast(to_colour(a), to_colour(b));
}

}  // namespace

TimelinePainter::TimelinePainter(Timelines timelines, const QPalette& palette)
    : m_timelines(std::move(timelines)), m_palette(palette) {
  std::map<QString, std::size_t> index_of;
  for (std::size_t stage = 0; stage < kStages.size(); ++stage) {
    index_of[QString::fromLatin1(kStages[stage])] = stage;
  }
  std::size_t others = 0;
  constexpr std::array<Qt::BrushStyle, 4> kPatterns{Qt::NoBrush, Qt::BDiagPattern, Qt::HorPattern,
                                                    Qt::Dense6Pattern};
  const QColor dark =
      is_dark(palette) ? palette.color(QPalette::Base) : palette.color(QPalette::Text);
  const QColor light =
      is_dark(palette) ? palette.color(QPalette::Text) : palette.color(QPalette::Base);
  for (const auto& timeline : m_timelines) {
    std::vector<Look>& looks = m_looks.emplace_back();
    for (const QString& name : timeline->events().names()) {
      const auto [at, is_new] = index_of.emplace(name, others);
      others += is_new ? 1 : 0;
      Look look;
      look.fill = category_colour(at->second, palette);
      look.text = contrast(look.fill, dark) > contrast(look.fill, light) ? dark : light;
      look.pattern = kPatterns[at->second / kColours % kPatterns.size()];
      looks.push_back(look);
    }
  }
}

void TimelinePainter::paint(QPainter& painter, const QSize& size, const TimelineLayout& layout,
                            const TimeMapping& shown, const TimelineMarks& marks) const {
  painter.fillRect(QRect(QPoint(0, 0), size), m_palette.color(QPalette::Base));
  if (m_timelines.empty()) {
    return;
  }
  const Picture picture{painter, layout, shown, marks};
  paint_axis(picture);
  paint_titles(picture);
  painter.save();
  painter.setClipRect(QRectF(layout.label_px, layout.axis_px, shown.width_px,
                             std::max(0.0, size.height() - layout.axis_px)));
  painter.translate(layout.label_px, 0.0);
  paint_steps(picture);
  for (const TimelineBox& box : layout.rows) {
    if (box.y > size.height()) {
      break;
    }
    if (box.row) {
      paint_row(picture, box);
    } else {
      paint_exposed(picture, box);
    }
  }
  if (marks.range) {
    paint_range(picture);
  }
  painter.restore();
}

void TimelinePainter::paint_cursor(QPainter& painter, const TimelineLayout& layout,
                                   const TimeMapping& shown, double x) const {
  painter.setPen(QPen(faint_text(m_palette), 1.0, Qt::DotLine));
  painter.drawLine(QPointF(x, layout.axis_px), QPointF(x, layout.bottom));
  const QString time = exact_time_text(shown.us_of(x - layout.label_px));
  const double width = painter.fontMetrics().horizontalAdvance(time) + 8.0;
  const QRectF box(std::min(x + 4.0, layout.label_px + shown.width_px - width), 0.0, width,
                   layout.axis_px - 3.0);
  painter.fillRect(box, m_palette.color(QPalette::Base));
  painter.setPen(m_palette.color(QPalette::Text));
  painter.drawText(box, Qt::AlignCenter, time);
}

void TimelinePainter::paint_axis(const Picture& picture) const {
  const auto& [painter, layout, shown, marks] = picture;
  const QFontMetricsF metrics(painter.font());
  constexpr double kLeastTickPx = 90.0;
  const TimeAxis axis = time_axis(shown, kLeastTickPx);
  for (const TimeTick& tick : axis.ticks) {
    const double x = layout.label_px + shown.x_of(tick.us);
    painter.setPen(QPen(grid_line(m_palette), 1.0));
    painter.drawLine(QPointF(x, layout.axis_px - 4.0), QPointF(x, layout.bottom));
    painter.setPen(m_palette.color(QPalette::Text));
    const QString label = qs(tick.label) + ' ' + axis.unit;
    const double width = metrics.horizontalAdvance(label);
    // The outermost labels stay inside.
    const double left =
        std::clamp(x - width / 2.0, layout.label_px,
                   std::max(layout.label_px, layout.label_px + shown.width_px - width));
    painter.drawText(QPointF(left, metrics.ascent() + 2.0), label);
  }
}

void TimelinePainter::paint_titles(const Picture& picture) const {
  const auto& [painter, layout, shown, marks] = picture;
  const QFontMetricsF metrics(painter.font());
  const QColor text = m_palette.color(QPalette::Text);
  const QColor faint = faint_text(m_palette);
  const double right = layout.label_px + shown.width_px;
  for (std::size_t t = 0; t < m_timelines.size(); ++t) {
    const TimelineEvents& events = m_timelines[t]->events();
    const double y = layout.title_y[t];
    if (t > 0) {
      painter.setPen(QPen(faint, 1.0));
      painter.drawLine(QPointF(0.0, y - 3.0), QPointF(right, y - 3.0));
    }
    const QFont plain = painter.font();
    QFont bold = plain;
    bold.setBold(true);
    painter.setFont(bold);
    painter.setPen(text);
    const QString title = QStringLiteral("%1 (%2)").arg(events.title(), events.origin());
    painter.drawText(QPointF(6.0, y + metrics.ascent()),
                     QFontMetricsF(bold).elidedText(title, Qt::ElideMiddle, right - 12));
    painter.setFont(plain);
  }
  for (const TimelineBox& box : layout.rows) {
    painter.setPen(box.row ? text : faint);
    painter.drawText(QRectF(6.0, box.y, layout.label_px - 10.0, box.height),
                     Qt::AlignVCenter | Qt::AlignLeft,
                     metrics.elidedText(box.label, Qt::ElideMiddle, layout.label_px - 10.0));
  }
}

void TimelinePainter::paint_steps(const Picture& picture) const {
  const auto& [painter, layout, shown, marks] = picture;
  const QFontMetricsF metrics(painter.font());
  QColor band = m_palette.color(QPalette::Highlight);
  band.setAlpha(45);
  for (std::size_t t = 0; t < m_timelines.size(); ++t) {
    const std::vector<TimelineStep>& steps = m_timelines[t]->events().steps();
    if (steps.empty()) {
      continue;
    }
    const double top = layout.step_y[t];
    double bottom = top;
    for (const TimelineBox& box : layout.rows) {
      bottom = box.timeline == t ? box.y + box.height : bottom;
    }
    const double low_us = shown.low_us;
    const auto first = std::partition_point(
        steps.begin(), steps.end(), [low_us](const TimelineStep& s) { return s.end_us < low_us; });
    // Boundaries that would stand shoulder to shoulder say nothing.
    constexpr double kLeastStepPx = 24.0;
    double last_x = -kLeastStepPx;
    double text_end = 0.0;
    for (auto step = first; step != steps.end() && step->begin_us <= shown.high_us; ++step) {
      const double x = shown.x_of(step->begin_us);
      const double end = shown.x_of(step->end_us);
      if (marks.selection.step == step->step) {
        painter.fillRect(QRectF(x, top, std::max(1.0, end - x), bottom - top), band);
      }
      if (x - last_x < kLeastStepPx && x > 0.0) {
        continue;
      }
      last_x = x;
      painter.setPen(QPen(faint_text(m_palette), 1.0, Qt::DashLine));
      painter.drawLine(QPointF(x, top), QPointF(x, bottom));
      const QString label = QStringLiteral("step %1").arg(step->step);
      const double left = std::max(x, 0.0) + 4.0;
      const double width = metrics.horizontalAdvance(label);
      if (left >= text_end && left + width < end) {
        painter.setPen(faint_text(m_palette));
        painter.drawText(QPointF(left, top + metrics.ascent()), label);
        text_end = left + width + 8.0;
      }
    }
  }
}

void TimelinePainter::paint_row(const Picture& picture, const TimelineBox& box) const {
  QPainter& painter = picture.painter;
  const TimelineDetail& timeline = *m_timelines[box.timeline];
  const std::size_t first = timeline.events().rows()[*box.row].begin;
  const std::vector<Look>& looks = m_looks[box.timeline];
  const QColor critical = m_palette.color(QPalette::Text);
  for (const RowMark& mark : timeline.row(*box.row).marks(picture.shown, kLeastBoxPx)) {
    if (mark.event >= 0) {
      paint_event(picture, box, mark, first + static_cast<std::size_t>(mark.event));
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

void TimelinePainter::paint_event(const Picture& picture, const TimelineBox& box,
                                  const RowMark& mark, std::size_t event) const {
  QPainter& painter = picture.painter;
  const TimelineEvents& events = m_timelines[box.timeline]->events();
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
                     m_palette.color(QPalette::Text));
  } else if (mark.critical) {
    QPen pen(m_palette.color(QPalette::Text), kCriticalPx);
    pen.setJoinStyle(Qt::MiterJoin);
    painter.setPen(pen);
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(rect.adjusted(1.0, 1.0, -1.0, -1.0));
  } else {
    // Neighbours of one colour stay apart.
    painter.fillRect(QRectF(rect.right() - 0.5, rect.top(), 0.5, rect.height()),
                     m_palette.color(QPalette::Base));
  }
  if (const auto& heads = picture.marks.selection.heads; !heads.empty()) {
    const std::int32_t layer = events.event(event).layer;
    const bool chosen = std::any_of(heads.begin(), heads.end(),
                                    [&](const HeadId& head) { return head.layer == layer; });
    if (chosen) {
      painter.fillRect(QRectF(rect.left(), rect.bottom() - 3.0, rect.width(), 3.0),
                       m_palette.color(QPalette::Highlight));
    }
  }
  if (picture.marks.event == TimelinePlace{box.timeline, event}) {
    painter.setPen(QPen(m_palette.color(QPalette::Highlight), 3.0));
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(rect.adjusted(1.5, 1.5, -1.5, -1.5));
  }
  paint_name(painter, rect, look, events.name_of(event));
}

void TimelinePainter::paint_name(QPainter& painter, const QRectF& rect, const Look& look,
                                 const QString& name) const {
  constexpr double kTextPx = 26.0;
  constexpr double kPaddingPx = 6.0;
  if (rect.width() < kTextPx || rect.height() < painter.fontMetrics().height() - 2.0) {
    return;
  }
  const QFontMetricsF metrics(painter.font());
  const QRectF inside = rect.intersected(QRectF(0.0, rect.top(), 1e6, rect.height()))
                            .adjusted(kPaddingPx, 0.0, -kPaddingPx, 0.0);
  const QString text = metrics.elidedText(name, Qt::ElideRight, inside.width());
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

void TimelinePainter::paint_exposed(const Picture& picture, const TimelineBox& box) const {
  QPainter& painter = picture.painter;
  const QColor colour = ink(sim::Ink::kWarm, m_palette);
  painter.setPen(QPen(colour, 1.0));
  painter.setBrush(QBrush(colour, Qt::BDiagPattern));
  for (const RowMark& mark :
       m_timelines[box.timeline]->exposed().marks(picture.shown, kLeastBoxPx)) {
    if (mark.event >= 0) {
      painter.drawRect(QRectF(mark.x_low, box.y, mark.x_high - mark.x_low, box.height - 1.0));
    } else {
      const double height = std::max(1.0, mark.coverage * box.height);
      painter.fillRect(QRectF(mark.x_low, box.y + box.height - height, 1.0, height), colour);
    }
  }
}

void TimelinePainter::paint_range(const Picture& picture) const {
  const auto& [painter, layout, shown, marks] = picture;
  const double left = shown.x_of(marks.range->first);
  const double right = shown.x_of(marks.range->second);
  QColor fill = m_palette.color(QPalette::Highlight);
  fill.setAlpha(50);
  const QRectF rect(left, layout.axis_px, right - left, layout.bottom - layout.axis_px);
  painter.fillRect(rect, fill);
  painter.setPen(QPen(m_palette.color(QPalette::Highlight), 2.0));
  painter.drawLine(rect.topLeft(), rect.bottomLeft());
  painter.drawLine(rect.topRight(), rect.bottomRight());
  const QString text = time_text(marks.range->second - marks.range->first);
  const QFontMetricsF metrics(painter.font());
  const double width = metrics.horizontalAdvance(text) + 10.0;
  const double x =
      std::clamp(rect.center().x() - width / 2.0, 0.0, std::max(0.0, shown.width_px - width));
  const QRectF label(x, layout.axis_px + 2.0, width, metrics.height() + 2.0);
  painter.fillRect(label, m_palette.color(QPalette::Highlight));
  painter.setPen(m_palette.color(QPalette::HighlightedText));
  painter.drawText(label, Qt::AlignCenter, text);
}

}  // namespace kvsieve::gui
