#include "replay/hot_buffer.h"

#include <algorithm>

namespace kvsieve::sim {

HotBuffer::HotBuffer(std::int64_t slots, std::int64_t tokens, HotPolicy policy)
    : m_slots(slots), m_policy(policy), m_use(slots > 0 ? static_cast<std::size_t>(tokens) : 0) {}

std::int64_t HotBuffer::serve(std::span<const std::int32_t> wanted,
                              std::vector<std::int32_t>& missing) {
  missing.clear();
  if (m_slots <= 0) {
    missing.assign(wanted.begin(), wanted.end());
    return 0;
  }
  ++m_step;
  for (const std::int32_t token : wanted) {
    Use& use = m_use[static_cast<std::size_t>(token)];
    if (use.uses == 0) {
      missing.push_back(token);
    } else {
      ++use.uses;
      use.last = m_step;
    }
  }
  const auto lacking = static_cast<std::int64_t>(missing.size() + m_held.size()) - m_slots;
  if (lacking > 0) {
    evict(lacking);
  }
  const auto room = static_cast<std::size_t>(m_slots) - m_held.size();
  for (const std::int32_t token : std::span(missing).first(std::min(room, missing.size()))) {
    m_use[static_cast<std::size_t>(token)] = {1, m_step};
    m_held.push_back(token);
  }
  return static_cast<std::int64_t>(wanted.size() - missing.size());
}

void HotBuffer::evict(std::int64_t count) {
  const auto used = std::partition(m_held.begin(), m_held.end(), [&](std::int32_t token) {
    return m_use[static_cast<std::size_t>(token)].last == m_step;
  });
  m_spare.assign(used, m_held.end());
  const auto leaving = std::min(static_cast<std::size_t>(count), m_spare.size());
  std::nth_element(m_spare.begin(), m_spare.begin() + static_cast<std::ptrdiff_t>(leaving),
                   m_spare.end(),
                   [&](std::int32_t a, std::int32_t b) { return leaves_first(a, b); });
  for (const std::int32_t token : std::span(m_spare).first(leaving)) {
    m_use[static_cast<std::size_t>(token)] = {};
  }
  m_held.erase(used, m_held.end());
  m_held.insert(m_held.end(), m_spare.begin() + static_cast<std::ptrdiff_t>(leaving),
                m_spare.end());
}

bool HotBuffer::leaves_first(std::int32_t a, std::int32_t b) const {
  const Use& of_a = m_use[static_cast<std::size_t>(a)];
  const Use& of_b = m_use[static_cast<std::size_t>(b)];
  if (m_policy == HotPolicy::kLfu && of_a.uses != of_b.uses) {
    return of_a.uses < of_b.uses;
  }
  return of_a.last != of_b.last ? of_a.last < of_b.last : a < b;
}

}  // namespace kvsieve::sim
