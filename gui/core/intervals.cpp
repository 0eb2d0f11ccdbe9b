#include "core/intervals.h"

#include <algorithm>

namespace kvsieve::gui {

Intervals::Intervals(std::vector<Stretch> stretches) {
  std::sort(stretches.begin(), stretches.end());
  for (const auto& [begin, end] : stretches) {
    if (!(begin < end)) {
      continue;
    }
    if (!m_end.empty() && begin <= m_end.back()) {
      m_end.back() = std::max(m_end.back(), end);
    } else {
      m_begin.push_back(begin);
      m_end.push_back(end);
    }
  }
  m_before.reserve(m_begin.size() + 1);
  m_before.push_back(0.0);
  for (std::size_t i = 0; i < m_begin.size(); ++i) {
    m_before.push_back(m_before.back() + m_end[i] - m_begin[i]);
  }
}

double Intervals::covered_until(double at) const noexcept {
  // The first stretch that begins later.
  const auto i = static_cast<std::size_t>(std::upper_bound(m_begin.begin(), m_begin.end(), at) -
                                          m_begin.begin());
  return i == 0 ? 0.0 : m_before[i - 1] + std::min(at, m_end[i - 1]) - m_begin[i - 1];
}

double Intervals::covered(double low, double high) const noexcept {
  return low < high ? covered_until(high) - covered_until(low) : 0.0;
}

Intervals Intervals::without(const Intervals& other) const {
  std::vector<Stretch> left;
  std::size_t o = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    double at = m_begin[i];
    while (o < other.size() && other.m_end[o] <= at) {
      ++o;
    }
    for (std::size_t j = o; j < other.size() && other.m_begin[j] < m_end[i]; ++j) {
      left.emplace_back(at, other.m_begin[j]);
      at = std::max(at, other.m_end[j]);
    }
    left.emplace_back(at, m_end[i]);
  }
  return Intervals(std::move(left));
}

Intervals Intervals::with(const Intervals& other) const {
  std::vector<Stretch> all;
  all.reserve(size() + other.size());
  for (const Intervals* part : {this, &other}) {
    for (std::size_t i = 0; i < part->size(); ++i) {
      all.emplace_back(part->m_begin[i], part->m_end[i]);
    }
  }
  return Intervals(std::move(all));
}

}  // namespace kvsieve::gui
