#include "replay/hot_buffer.h"

#include <algorithm>

namespace kvsieve::sim {

HotBuffer::HotBuffer(std::int64_t slots, std::int64_t tokens)
    : m_slots(slots),
      m_head(static_cast<std::int32_t>(tokens)),
      m_older(slots > 0 ? static_cast<std::size_t>(tokens) + 1 : 0, kAbsent),
      m_newer(m_older.size(), kAbsent) {
  if (slots > 0) {
    m_older.back() = m_head;
    m_newer.back() = m_head;
  }
}

std::int64_t HotBuffer::serve(std::span<const std::int32_t> wanted,
                              std::vector<std::int32_t>& missing) {
  missing.clear();
  if (m_slots <= 0) {
    missing.assign(wanted.begin(), wanted.end());
    return 0;
  }
  for (const std::int32_t token : wanted) {
    if (m_older[static_cast<std::size_t>(token)] == kAbsent) {
      missing.push_back(token);
    } else {
      unlink(token);
      push_newest(token);
    }
  }
  for (const std::int32_t token : missing) {
    if (m_size == m_slots) {
      unlink(m_newer[static_cast<std::size_t>(m_head)]);
    }
    push_newest(token);
  }
  return static_cast<std::int64_t>(wanted.size() - missing.size());
}

void HotBuffer::unlink(std::int32_t token) {
  std::int32_t& older = m_older[static_cast<std::size_t>(token)];
  const std::int32_t newer = m_newer[static_cast<std::size_t>(token)];
  m_newer[static_cast<std::size_t>(older)] = newer;
  m_older[static_cast<std::size_t>(newer)] = older;
  older = kAbsent;
  --m_size;
}

void HotBuffer::push_newest(std::int32_t token) {
  const std::int32_t newest = m_older[static_cast<std::size_t>(m_head)];
  m_older[static_cast<std::size_t>(token)] = newest;
  m_newer[static_cast<std::size_t>(token)] = m_head;
  m_newer[static_cast<std::size_t>(newest)] = token;
  m_older[static_cast<std::size_t>(m_head)] = token;
  ++m_size;
}

}  // namespace kvsieve::sim
