#include "core/timeline_layout.h"

#include <algorithm>

namespace kvsieve::gui {
namespace {

constexpr double kLargestRow = 60.0;
constexpr double kGap = 3.0;
constexpr double kPad = 8.0;

const QString kExposed = QStringLiteral("exposed transfer");

}  // namespace

const TimelineBox* TimelineLayout::box_at(double y) const {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const TimelineBox& box) {
    return y >= box.y && y < box.y + box.height;
  });
  return found != rows.end() ? &*found : nullptr;
}

std::size_t TimelineLayout::row_of(const Timelines& timelines, const TimelinePlace& place) const {
  const std::size_t row = timelines[place.timeline]->events().row_of(place.event);
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const TimelineBox& box) {
    return box.timeline == place.timeline && box.row == row;
  });
  return static_cast<std::size_t>(found - rows.begin());
}

TimelineLayout timeline_layout(const Timelines& timelines, double height_px, double line_px,
                               double label_px) {
  TimelineLayout layout;
  layout.label_px = label_px;
  layout.axis_px = line_px + kPad;
  double fixed = layout.axis_px + 4.0;
  double rows = 0.0;
  double exposed = 0.0;
  for (const auto& timeline : timelines) {
    const TimelineEvents& events = timeline->events();
    fixed += line_px + kPad + (events.steps().empty() ? 0.0 : line_px);
    rows += static_cast<double>(events.rows().size());
    exposed += events.has_transfers() ? 1.0 : 0.0;
    fixed += kGap * (static_cast<double>(events.lanes().size()) + 1.0);
  }
  // Exposed transfers get half a row, but no less than a line either.
  const double smallest = line_px + 1.0;
  const double room = height_px - fixed;
  const double halved = room / std::max(rows + 0.5 * exposed, 1.0);
  const double row_px = std::clamp(
      0.5 * halved >= smallest ? halved : (room - exposed * smallest) / std::max(rows, 1.0),
      smallest, kLargestRow);
  double y = layout.axis_px;
  for (std::size_t t = 0; t < timelines.size(); ++t) {
    const TimelineEvents& events = timelines[t]->events();
    layout.title_y.push_back(y + 4.0);
    y += line_px + kPad;
    layout.step_y.push_back(y);
    y += events.steps().empty() ? 0.0 : line_px;
    for (const TimelineLane& lane : events.lanes()) {
      for (std::size_t row = lane.row_begin; row < lane.row_end; ++row) {
        layout.rows.push_back({t, row, row == lane.row_begin ? lane.name : QString(), y, row_px});
        y += row_px;
      }
      y += lane.row_begin < lane.row_end ? kGap : 0.0;
    }
    if (events.has_transfers()) {
      layout.rows.push_back({t, std::nullopt, kExposed, y, std::max(0.5 * row_px, smallest)});
      y += layout.rows.back().height + kGap;
    }
  }
  layout.bottom = y;
  return layout;
}

std::vector<QString> timeline_labels(const Timelines& timelines) {
  std::vector<QString> labels{kExposed};
  for (const auto& timeline : timelines) {
    for (const TimelineLane& lane : timeline->events().lanes()) {
      labels.push_back(lane.name);
    }
  }
  return labels;
}

double least_height_px(const Timelines& timelines, double line_px) {
  return timelines.empty() ? 0.0 : timeline_layout(timelines, 0.0, line_px, 0.0).bottom;
}

std::optional<std::size_t> event_near(const TimelineEvents& events, std::size_t row,
                                      const TimeMapping& shown, double x) {
  for (const double dx : {0.0, -1.0, 1.0, -2.0, 2.0}) {
    if (const auto event = events.at(row, shown.us_of(x + dx))) {
      return event;
    }
  }
  return std::nullopt;
}

std::optional<QPointF> middle_of(const Timelines& timelines, const TimelineLayout& layout,
                                 const TimeMapping& shown, const TimelinePlace& place) {
  const TimelineEvents& events = timelines[place.timeline]->events();
  const TimelineBox& box = layout.rows[layout.row_of(timelines, place)];
  const double low = std::max(events.begin_us()[place.event], shown.low_us);
  const double high = std::min(events.end_us()[place.event], shown.high_us);
  if (low > high) {
    return std::nullopt;
  }
  return QPointF(layout.label_px + shown.x_of((low + high) / 2.0), box.y + box.height / 2.0);
}

std::optional<TimelinePlace> first_after(const Timelines& timelines, const TimelineLayout& layout,
                                         double us) {
  for (const TimelineBox& box : layout.rows) {
    if (!box.row) {
      continue;
    }
    const TimelineEvents& events = timelines[box.timeline]->events();
    const TimelineRow& row = events.rows()[*box.row];
    const auto ends = events.end_us().subspan(row.begin, row.end - row.begin);
    const auto after = std::upper_bound(ends.begin(), ends.end(), us);
    if (after != ends.end()) {
      return TimelinePlace{box.timeline,
                           row.begin + static_cast<std::size_t>(after - ends.begin())};
    }
  }
  return std::nullopt;
}

std::optional<TimelinePlace> next_in_row(const Timelines& timelines, const TimelinePlace& place,
                                         int direction) {
  const TimelineEvents& events = timelines[place.timeline]->events();
  const TimelineRow& row = events.rows()[events.row_of(place.event)];
  if (direction > 0 ? place.event + 1 < row.end : place.event > row.begin) {
    return TimelinePlace{place.timeline, direction > 0 ? place.event + 1 : place.event - 1};
  }
  return std::nullopt;
}

std::optional<TimelinePlace> next_across_rows(const Timelines& timelines,
                                              const TimelineLayout& layout,
                                              const TimelinePlace& place, int direction) {
  const double at_us = timelines[place.timeline]->events().begin_us()[place.event];
  const auto count = static_cast<std::ptrdiff_t>(layout.rows.size());
  for (auto next = static_cast<std::ptrdiff_t>(layout.row_of(timelines, place)) + direction;
       next >= 0 && next < count; next += direction) {
    const TimelineBox& box = layout.rows[static_cast<std::size_t>(next)];
    if (!box.row) {
      continue;
    }
    const TimelineEvents& events = timelines[box.timeline]->events();
    const TimelineRow& row = events.rows()[*box.row];
    const auto begins = events.begin_us().subspan(row.begin, row.end - row.begin);
    const auto after = std::upper_bound(begins.begin(), begins.end(), at_us) - begins.begin();
    return TimelinePlace{
        box.timeline, row.begin + static_cast<std::size_t>(std::max<std::ptrdiff_t>(after, 1)) - 1};
  }
  return std::nullopt;
}

}  // namespace kvsieve::gui
