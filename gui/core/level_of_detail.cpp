#include "core/level_of_detail.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvsieve::gui {
namespace {

/// As many events of a column are looked at one by one; more are summed up in buckets.
constexpr std::size_t kLookedAt = 16;
/// A picture has more columns than this; wider buckets serve none of them.
constexpr std::size_t kFewestBuckets = 256;

}  // namespace

LevelOfDetail::LevelOfDetail(std::span<const double> begin_us, std::span<const double> end_us,
                             std::span<const std::int32_t> name,
                             std::span<const std::uint8_t> critical)
    : m_begin_us(begin_us), m_end_us(end_us), m_name(name) {
  const std::size_t n = begin_us.size();
  if (n == 0) {
    return;
  }
  m_origin_us = begin_us.front();
  m_total_us = end_us.back() - m_origin_us;
  m_before_us.reserve(n + 1);
  m_before_us.push_back(0.0);
  for (std::size_t i = 0; i < n; ++i) {
    m_before_us.push_back(m_before_us.back() + end_us[i] - begin_us[i]);
  }
  if (!critical.empty()) {
    m_before_critical.reserve(n + 1);
    m_before_critical.push_back(0);
    for (const std::uint8_t flag : critical) {
      m_before_critical.push_back(m_before_critical.back() + (flag != 0 ? 1U : 0U));
    }
  }
  if (name.empty() || !(m_total_us > 0.0)) {
    return;
  }
  m_names = *std::max_element(name.begin(), name.end()) + 1;
  for (std::size_t buckets = n / 4; buckets >= kFewestBuckets; buckets /= 2) {
    build_level(buckets);
  }
}

void LevelOfDetail::build_level(std::size_t count) {
  Level& level = m_levels.emplace_back();
  level.width_us = m_total_us / static_cast<double>(count);
  level.buckets.resize(count);
  std::vector<double> us_of(static_cast<std::size_t>(m_names), 0.0);
  std::vector<std::int32_t> seen;
  std::size_t event = 0;
  for (std::size_t bucket = 0; bucket < count; ++bucket) {
    const double low = m_origin_us + static_cast<double>(bucket) * level.width_us;
    const double high = low + level.width_us;
    while (event < m_begin_us.size() && m_begin_us[event] < high) {
      const double us = std::min(m_end_us[event], high) - std::max(m_begin_us[event], low);
      const std::int32_t name = m_name[event];
      if (us > 0.0) {
        if (us_of[static_cast<std::size_t>(name)] == 0.0) {
          seen.push_back(name);
        }
        us_of[static_cast<std::size_t>(name)] += us;
      }
      if (m_end_us[event] > high) {
        break;  // it goes on in the next bucket
      }
      ++event;
    }
    Bucket& out = level.buckets[bucket];
    for (const std::int32_t name : seen) {
      double& us = us_of[static_cast<std::size_t>(name)];
      if (out.name < 0 || static_cast<float>(us) > out.us) {
        out = {name, static_cast<float>(us)};
      }
      us = 0.0;
    }
    seen.clear();
  }
}

std::int32_t LevelOfDetail::main_name(std::size_t first, std::size_t last, double low_us,
                                      double high_us) const {
  if (m_name.empty()) {
    return -1;
  }
  if (last - first <= kLookedAt || m_levels.empty()) {
    std::vector<std::pair<std::int32_t, double>> sums;
    for (std::size_t i = first; i < last; ++i) {
      const auto found = std::find_if(sums.begin(), sums.end(),
                                      [&](const auto& sum) { return sum.first == m_name[i]; });
      const double us = std::min(m_end_us[i], high_us) - std::max(m_begin_us[i], low_us);
      if (found == sums.end()) {
        sums.emplace_back(m_name[i], us);
      } else {
        found->second += us;
      }
    }
    return std::max_element(sums.begin(), sums.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
  }
  // The widest buckets that are no wider than the column.
  std::size_t l = 0;
  while (l + 1 < m_levels.size() && m_levels[l + 1].width_us <= high_us - low_us) {
    ++l;
  }
  const Level& level = m_levels[l];
  const auto bucket_of = [&](double us) {
    const double at = (us - m_origin_us) / level.width_us;
    return static_cast<std::size_t>(
        std::clamp(at, 0.0, static_cast<double>(level.buckets.size() - 1)));
  };
  std::int32_t best = -1;
  double best_us = -1.0;
  const std::size_t end = bucket_of(high_us);
  for (std::size_t b = bucket_of(low_us); b <= end; ++b) {
    const double low = m_origin_us + static_cast<double>(b) * level.width_us;
    const double inside =
        (std::min(low + level.width_us, high_us) - std::max(low, low_us)) / level.width_us;
    const double us = static_cast<double>(level.buckets[b].us) * inside;
    if (level.buckets[b].name >= 0 && us > best_us) {
      best = level.buckets[b].name;
      best_us = us;
    }
  }
  return best;
}

RowMark LevelOfDetail::column(std::size_t first, std::size_t last, double low_us,
                              double high_us) const {
  double us = m_before_us[last] - m_before_us[first];
  us -= std::max(0.0, low_us - m_begin_us[first]);
  us -= std::max(0.0, m_end_us[last - 1] - high_us);
  RowMark mark;
  mark.coverage = std::min(1.0, us / (high_us - low_us));
  mark.name = main_name(first, last, low_us, high_us);
  mark.critical = !m_before_critical.empty() && m_before_critical[last] > m_before_critical[first];
  return mark;
}

std::vector<RowMark> LevelOfDetail::marks(const TimeMapping& mapping, double least_px) const {
  std::vector<RowMark> marks;
  const std::size_t n = m_begin_us.size();
  const double px_per_us = mapping.px_per_us();
  const auto first_ending_after = [&](double us) {
    return static_cast<std::size_t>(std::upper_bound(m_end_us.begin(), m_end_us.end(), us) -
                                    m_end_us.begin());
  };
  const auto is_box = [&](std::size_t i) {
    return (m_end_us[i] - m_begin_us[i]) * px_per_us >= least_px;
  };
  double x = 0.0;
  std::size_t i = first_ending_after(mapping.low_us);
  while (x < mapping.width_px && i < n) {
    const double low_us = mapping.us_of(x);
    const double high_us = mapping.us_of(x + 1.0);
    if (m_begin_us[i] >= high_us) {
      if (m_begin_us[i] >= mapping.high_us) {
        break;
      }
      x = std::max(x + 1.0, std::floor(mapping.x_of(m_begin_us[i])));
      continue;
    }
    if (is_box(i)) {
      RowMark& mark = marks.emplace_back();
      mark.x_low = std::max(mapping.x_of(m_begin_us[i]), -1.0);
      mark.x_high = std::min(mapping.x_of(m_end_us[i]), mapping.width_px + 1.0);
      mark.event = static_cast<std::int64_t>(i);
      mark.name = m_name.empty() ? -1 : m_name[i];
      mark.critical = !m_before_critical.empty() && m_before_critical[i + 1] > m_before_critical[i];
      // What follows within the same pixel makes a column there.
      x = std::max(x, std::floor(mapping.x_of(m_end_us[i])));
      ++i;
      continue;
    }
    auto last = static_cast<std::size_t>(
        std::lower_bound(m_begin_us.begin() + static_cast<std::ptrdiff_t>(i), m_begin_us.end(),
                         high_us) -
        m_begin_us.begin());
    if (last - 1 > i && is_box(last - 1)) {
      --last;
    }
    RowMark mark = column(i, last, low_us, high_us);
    if (mark.coverage > 0.0) {
      mark.x_low = x;
      mark.x_high = x + 1.0;
      marks.push_back(mark);
    }
    if (last < n && m_begin_us[last] < high_us) {
      i = last;  // a box that begins within this column
      continue;
    }
    i = m_end_us[last - 1] > high_us ? last - 1 : last;
    x += 1.0;
  }
  return marks;
}

TimelineDetail::TimelineDetail(std::shared_ptr<const TimelineEvents> events)
    : m_events(std::move(events)),
      m_exposed(m_events->exposed().begin(), m_events->exposed().end(), {}, {}) {
  m_rows.reserve(m_events->rows().size());
  for (const TimelineRow& row : m_events->rows()) {
    const std::size_t count = row.end - row.begin;
    m_rows.emplace_back(m_events->begin_us().subspan(row.begin, count),
                        m_events->end_us().subspan(row.begin, count),
                        m_events->name_ids().subspan(row.begin, count),
                        m_events->critical().subspan(row.begin, count));
  }
}

}  // namespace kvsieve::gui
