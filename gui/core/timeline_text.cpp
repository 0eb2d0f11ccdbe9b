#include "core/timeline_text.h"

#include <QStringList>
#include <algorithm>
#include <cmath>

#include "core/qt_text.h"
#include "core/timeline_layout.h"
#include "kvsieve/sim/number_text.h"

namespace kvsieve::gui {
namespace {

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

QString event_text(const TimelineEvents& events, std::size_t index) {
  const TimelineEvent event = events.event(index);
  QStringList lines;
  lines << QStringLiteral("%1 on %2 (%3)")
               .arg(events.name_of(index),
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

QString pixel_text(const TimelineDetail& timeline, std::optional<std::size_t> row,
                   const TimeMapping& shown, double x) {
  const TimelineEvents& events = timeline.events();
  if (!row) {
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
  const std::vector<RowMark> marks = timeline.row(*row).marks(pixel, kLeastBoxPx);
  const TimelineRow& own = events.rows()[*row];
  const auto count = [&](std::span<const double> values, double us) {
    return std::lower_bound(values.begin() + static_cast<std::ptrdiff_t>(own.begin),
                            values.begin() + static_cast<std::ptrdiff_t>(own.end), us) -
           values.begin();
  };
  const auto several =
      count(events.begin_us(), pixel.high_us) - count(events.end_us(), pixel.low_us);
  if (several > 2 && !marks.empty() && marks.front().event < 0) {
    const RowMark& mark = marks.front();
    return QStringLiteral("%1 on %2 (%3) within %4\nmostly %5, busy %6%7")
        .arg(qs(sim::counted(several, "event")), events.lanes()[own.lane].name, events.origin(),
             time_text(pixel.span_us()), events.names()[static_cast<std::size_t>(mark.name)],
             share_text(mark.coverage),
             mark.critical ? QStringLiteral(", critical path within") : QString());
  }
  const std::optional<std::size_t> event = event_near(events, *row, shown, x);
  return event ? event_text(events, *event) : QString();
}

QString range_text(const Timelines& timelines, const Stretch& range) {
  QStringList parts{time_text(range.second - range.first)};
  for (const auto& timeline : timelines) {
    const TimelineEvents& events = timeline->events();
    const RangeFigures figures = events.figures(range.first, range.second);
    QStringList own;
    if (timelines.size() > 1) {
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

sim::Table timeline_table(const Timelines& timelines, const Stretch& range) {
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
  const auto [low, high] = range;
  for (const auto& timeline : timelines) {
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

QString timeline_csv(const Timelines& timelines, const Stretch& range) {
  const auto quoted = [](QString text) {
    return '"' + text.replace('"', QStringLiteral("\"\"")) + '"';
  };
  const auto number = [](double value) { return QString::number(value, 'g', 17); };
  QStringList lines{QStringLiteral(
      "timeline,origin,lane,event,begin_us,end_us,events,us,longest_us,critical_us,bytes,pieces")};
  const auto [low, high] = range;
  for (const auto& timeline : timelines) {
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

}  // namespace kvsieve::gui
