#include "core/timeline_events.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "core/chrome_events.h"

namespace kvsieve::gui {
namespace {

/// Files hold rounded times: neighbours may overlap by this much.
constexpr double kRoundingUs = 1e-3;
constexpr std::size_t kMostRows = 64;

bool is_transfer(const TimelineLane& lane) {
  return lane.kind == sim::Lane::kToGpu || lane.kind == sim::Lane::kToHost;
}

}  // namespace

QString lane_title(sim::Lane lane) {
  switch (lane) {
    case sim::Lane::kGpu:
      return QStringLiteral("GPU");
    case sim::Lane::kToGpu:
      return QStringLiteral("H2D (to GPU)");
    case sim::Lane::kToHost:
      return QStringLiteral("D2H (to host)");
    case sim::Lane::kCpu:
      break;
  }
  return QStringLiteral("CPU");
}

std::optional<double> RangeFigures::overlap() const noexcept {
  return transfer_us > 0.0 ? std::optional(1.0 - exposed_transfer_us / transfer_us) : std::nullopt;
}

TimelineEvents::TimelineEvents(TimelineParts parts)
    : m_title(std::move(parts.title)),
      m_origin(std::move(parts.origin)),
      m_skipped(parts.skipped),
      m_lanes(std::move(parts.lanes)),
      m_names(std::move(parts.names)) {
  order(parts.events);
  find_steps();
  find_exposed();
}

void TimelineEvents::order(std::vector<TimelineEvent>& events) {
  double first_us = events.empty() ? 0.0 : events.front().begin_us;
  for (const TimelineEvent& event : events) {
    first_us = std::min(first_us, event.begin_us);
  }
  for (TimelineEvent& event : events) {
    event.begin_us -= first_us;
    event.end_us -= first_us;
    m_total_us = std::max(m_total_us, event.end_us);
    m_has_critical = m_has_critical || event.critical;
  }
  // An event that takes no time comes before what begins with it, and what contains comes before
  // what it contains.
  std::stable_sort(events.begin(), events.end(),
                   [](const TimelineEvent& a, const TimelineEvent& b) {
                     if (a.lane != b.lane) {
                       return a.lane < b.lane;
                     }
                     if (a.begin_us != b.begin_us) {
                       return a.begin_us < b.begin_us;
                     }
                     if ((a.us() == 0.0) != (b.us() == 0.0)) {
                       return a.us() == 0.0;
                     }
                     return a.end_us > b.end_us;
                   });
  std::vector<std::size_t> order;
  order.reserve(events.size());
  std::size_t next = 0;
  for (std::size_t lane = 0; lane < m_lanes.size(); ++lane) {
    std::vector<std::vector<std::size_t>> rows;
    for (; next < events.size() && events[next].lane == static_cast<std::int32_t>(lane); ++next) {
      std::size_t row = 0;
      while (row < rows.size() &&
             events[rows[row].back()].end_us > events[next].begin_us + kRoundingUs) {
        ++row;
      }
      if (row == kMostRows) {
        ++m_skipped;
        continue;
      }
      if (row == rows.size()) {
        rows.emplace_back();
      }
      if (!rows[row].empty()) {
        TimelineEvent& before = events[rows[row].back()];
        before.end_us = std::min(before.end_us, std::max(before.begin_us, events[next].begin_us));
      }
      rows[row].push_back(next);
    }
    m_lanes[lane].row_begin = m_rows.size();
    for (const std::vector<std::size_t>& row : rows) {
      m_rows.push_back({lane, order.size(), order.size() + row.size()});
      order.insert(order.end(), row.begin(), row.end());
    }
    m_lanes[lane].row_end = m_rows.size();
  }
  const auto column = [&](auto& values, auto TimelineEvent::*member) {
    values.reserve(order.size());
    for (const std::size_t i : order) {
      values.push_back(events[i].*member);
    }
  };
  column(m_begin_us, &TimelineEvent::begin_us);
  column(m_end_us, &TimelineEvent::end_us);
  column(m_alone_us, &TimelineEvent::alone_us);
  column(m_bytes, &TimelineEvent::bytes);
  column(m_pieces, &TimelineEvent::pieces);
  column(m_name, &TimelineEvent::name);
  column(m_step, &TimelineEvent::step);
  column(m_layer, &TimelineEvent::layer);
  column(m_micro_batch, &TimelineEvent::micro_batch);
  column(m_critical, &TimelineEvent::critical);
}

std::shared_ptr<const TimelineEvents> TimelineEvents::from_model(const sim::Timeline& timeline,
                                                                 const sim::TimelineResult& result,
                                                                 const QString& title) {
  TimelineParts parts;
  parts.title = title;
  parts.origin = QStringLiteral("modelled");
  std::array<std::int32_t, sim::kLanes> lane_of{};
  for (const sim::Lane lane : kLaneOrder) {
    lane_of[static_cast<std::size_t>(lane)] = static_cast<std::int32_t>(parts.lanes.size());
    parts.lanes.push_back({lane_title(lane), lane});
  }
  for (const std::string& name : timeline.names) {
    parts.names.push_back(QString::fromStdString(name));
  }
  parts.events.reserve(timeline.tasks.size());
  for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
    const sim::TimelineTask& task = timeline.tasks[t];
    TimelineEvent& event = parts.events.emplace_back();
    event.lane = lane_of[static_cast<std::size_t>(task.lane)];
    event.name = task.name;
    event.begin_us = result.spans[t].begin_us;
    event.end_us = result.spans[t].end_us;
    event.alone_us = task.us;
    event.step = task.step;
    event.layer = task.layer;
    event.micro_batch = task.micro_batch;
    event.bytes = task.bytes;
    event.pieces = task.pieces;
  }
  for (const std::int32_t task : result.critical_path) {
    parts.events[static_cast<std::size_t>(task)].critical = true;
  }
  return std::make_shared<const TimelineEvents>(std::move(parts));
}

std::shared_ptr<const TimelineEvents> TimelineEvents::load(const QString& path,
                                                           const JobControl& control) {
  return std::make_shared<const TimelineEvents>(read_chrome_events(path, control));
}

void TimelineEvents::find_steps() {
  std::map<std::int32_t, double> ends;
  for (std::size_t i = 0; i < size(); ++i) {
    if (m_step[i] >= 0) {
      double& end = ends[m_step[i]];
      end = std::max(end, m_end_us[i]);
    }
  }
  double begin = 0.0;
  for (const auto& [step, end] : ends) {
    m_steps.push_back({step, begin, std::max(begin, end)});
    begin = std::max(begin, end);
  }
}

bool TimelineEvents::crosses_link(std::size_t lane, std::size_t index) const {
  // A kernel that reads host memory moves bytes as a copy engine does; what the host's cores
  // gather stays on the host.
  return is_transfer(m_lanes[lane]) ||
         (m_lanes[lane].kind != sim::Lane::kCpu && m_bytes[index] > 0);
}

void TimelineEvents::find_exposed() {
  std::vector<Stretch> transfers;
  std::vector<Stretch> computing;
  for (std::size_t lane = 0; lane < m_lanes.size(); ++lane) {
    std::vector<Stretch> busy;
    for (std::size_t row = m_lanes[lane].row_begin; row < m_lanes[lane].row_end; ++row) {
      for (std::size_t i = m_rows[row].begin; i < m_rows[row].end; ++i) {
        const Stretch stretch(m_begin_us[i], m_end_us[i]);
        busy.push_back(stretch);
        if (crosses_link(lane, i)) {
          transfers.push_back(stretch);
        } else if (m_lanes[lane].kind == sim::Lane::kGpu || m_lanes[lane].kind == sim::Lane::kCpu) {
          computing.push_back(stretch);
        }
      }
    }
    m_busy.emplace_back(std::move(busy));
  }
  m_transfers = Intervals(std::move(transfers));
  m_exposed = m_transfers.without(Intervals(std::move(computing)));
}

TimelineEvent TimelineEvents::event(std::size_t index) const {
  TimelineEvent event;
  event.lane = static_cast<std::int32_t>(m_rows[row_of(index)].lane);
  event.name = m_name[index];
  event.begin_us = m_begin_us[index];
  event.end_us = m_end_us[index];
  event.alone_us = m_alone_us[index];
  event.step = m_step[index];
  event.layer = m_layer[index];
  event.micro_batch = m_micro_batch[index];
  event.bytes = m_bytes[index];
  event.pieces = m_pieces[index];
  event.critical = m_critical[index] != 0;
  return event;
}

std::size_t TimelineEvents::row_of(std::size_t index) const {
  const auto after =
      std::upper_bound(m_rows.begin(), m_rows.end(), index,
                       [](std::size_t at, const TimelineRow& row) { return at < row.begin; });
  return static_cast<std::size_t>(after - m_rows.begin()) - 1;
}

TimelineRow TimelineEvents::within(const TimelineRow& row, double low_us, double high_us) const {
  const auto first = m_end_us.begin() + static_cast<std::ptrdiff_t>(row.begin);
  const auto last = m_end_us.begin() + static_cast<std::ptrdiff_t>(row.end);
  const auto begin =
      static_cast<std::size_t>(std::upper_bound(first, last, low_us) - m_end_us.begin());
  const auto from = m_begin_us.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto to = m_begin_us.begin() + static_cast<std::ptrdiff_t>(row.end);
  return {row.lane, begin,
          static_cast<std::size_t>(std::lower_bound(from, to, high_us) - m_begin_us.begin())};
}

std::optional<std::size_t> TimelineEvents::at(std::size_t row, double us) const {
  const TimelineRow found = within(m_rows[row], us, us);
  // The first event that ends later; it may begin later, too.
  return found.begin < m_rows[row].end && m_begin_us[found.begin] <= us ? std::optional(found.begin)
                                                                        : std::nullopt;
}

std::optional<std::size_t> TimelineEvents::find(const QString& text,
                                                std::optional<std::size_t> after,
                                                bool forward) const {
  std::vector<bool> wanted;
  for (const QString& name : m_names) {
    wanted.push_back(!text.isEmpty() && name.contains(text, Qt::CaseInsensitive));
  }
  // By begin, then by index; the smallest behind `after`, else the smallest of all.
  const auto key = [&](std::size_t i) {
    return forward ? std::pair(m_begin_us[i], static_cast<double>(i))
                   : std::pair(-m_begin_us[i], -static_cast<double>(i));
  };
  std::optional<std::size_t> next;
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < size(); ++i) {
    if (!wanted[static_cast<std::size_t>(m_name[i])]) {
      continue;
    }
    if (!first || key(i) < key(*first)) {
      first = i;
    }
    if (after && key(i) > key(*after) && (!next || key(i) < key(*next))) {
      next = i;
    }
  }
  return next ? next : first;
}

RangeFigures TimelineEvents::figures(double low_us, double high_us) const {
  RangeFigures figures;
  figures.us = std::max(0.0, high_us - low_us);
  for (const Intervals& lane : m_busy) {
    figures.busy_us.push_back(lane.covered(low_us, high_us));
  }
  figures.transfer_us = m_transfers.covered(low_us, high_us);
  figures.exposed_transfer_us = m_exposed.covered(low_us, high_us);
  for (const TimelineRow& row : m_rows) {
    const TimelineRow part = within(row, low_us, high_us);
    for (std::size_t i = part.begin; i < part.end; ++i) {
      if (m_bytes[i] > 0 && crosses_link(row.lane, i)) {
        const double inside = std::min(m_end_us[i], high_us) - std::max(m_begin_us[i], low_us);
        const double us = m_end_us[i] - m_begin_us[i];
        figures.bytes += static_cast<double>(m_bytes[i]) * (us > 0.0 ? inside / us : 1.0);
      }
    }
  }
  return figures;
}

std::vector<NameSum> TimelineEvents::sums(double low_us, double high_us) const {
  std::vector<NameSum> all;
  std::vector<NameSum> by_name(m_names.size());
  for (std::size_t lane = 0; lane < m_lanes.size(); ++lane) {
    std::fill(by_name.begin(), by_name.end(), NameSum());
    for (std::size_t row = m_lanes[lane].row_begin; row < m_lanes[lane].row_end; ++row) {
      const TimelineRow part = within(m_rows[row], low_us, high_us);
      for (std::size_t i = part.begin; i < part.end; ++i) {
        NameSum& sum = by_name[static_cast<std::size_t>(m_name[i])];
        const double whole_us = m_end_us[i] - m_begin_us[i];
        const double us = std::min(m_end_us[i], high_us) - std::max(m_begin_us[i], low_us);
        const double share = whole_us > 0.0 ? us / whole_us : 1.0;
        ++sum.events;
        sum.us += us;
        sum.longest_us = std::max(sum.longest_us, whole_us);
        sum.critical_us += m_critical[i] != 0 ? us : 0.0;
        sum.bytes += static_cast<double>(m_bytes[i]) * share;
        sum.pieces += static_cast<double>(m_pieces[i]) * share;
      }
    }
    const std::size_t first = all.size();
    for (std::size_t name = 0; name < by_name.size(); ++name) {
      if (by_name[name].events > 0) {
        all.push_back(by_name[name]);
        all.back().lane = lane;
        all.back().name = static_cast<std::int32_t>(name);
      }
    }
    std::stable_sort(all.begin() + static_cast<std::ptrdiff_t>(first), all.end(),
                     [](const NameSum& a, const NameSum& b) { return a.us > b.us; });
  }
  return all;
}

}  // namespace kvsieve::gui
