#include "kvsieve/kernels/kv_gather.h"

namespace kvsieve::kernels {

HotBuffer::HotBuffer(std::int64_t slots, std::int64_t tokens, HotPolicy policy)
    : m_slots(static_cast<std::size_t>(slots)),
      m_slot_of(static_cast<std::size_t>(tokens), -1),
      m_queues(1),
      m_policy(policy) {}

HotBuffer::Queue& HotBuffer::queue_of(const Slot& slot) {
  const auto index =
      m_policy == HotPolicy::kLfu ? static_cast<std::size_t>(slot.uses) : std::size_t{0};
  if (index >= m_queues.size()) {
    m_queues.resize(index + 1);
  }
  return m_queues[index];
}

void HotBuffer::append(std::int32_t slot) {
  Slot& self = m_slots[static_cast<std::size_t>(slot)];
  Queue& queue = queue_of(self);
  self.before = queue.last;
  self.after = -1;
  (queue.last < 0 ? queue.first : m_slots[static_cast<std::size_t>(queue.last)].after) = slot;
  queue.last = slot;
}

void HotBuffer::unlink(std::int32_t slot) {
  const Slot& self = m_slots[static_cast<std::size_t>(slot)];
  Queue& queue = queue_of(self);
  (self.before < 0 ? queue.first : m_slots[static_cast<std::size_t>(self.before)].after) =
      self.after;
  (self.after < 0 ? queue.last : m_slots[static_cast<std::size_t>(self.after)].before) =
      self.before;
}

/// A free slot or a victim's, -1 if there is none. Queues below `lowest` are empty.
std::int32_t HotBuffer::take_slot(std::size_t& lowest) {
  if (m_filled < static_cast<std::int64_t>(m_slots.size())) {
    return static_cast<std::int32_t>(m_filled++);
  }
  while (lowest < m_queues.size() && m_queues[lowest].first < 0) {
    ++lowest;
  }
  if (lowest == m_queues.size()) {
    return -1;
  }
  const std::int32_t victim = m_queues[lowest].first;
  unlink(victim);
  m_slot_of[static_cast<std::size_t>(m_slots[static_cast<std::size_t>(victim)].token)] = -1;
  return victim;
}

void HotBuffer::serve(std::span<const std::int32_t> wanted, HotStep& step) {
  step.slots.resize(wanted.size());
  step.missing.clear();
  step.targets.clear();
  step.hits = 0;
  step.bypassed = 0;
  // Outside the queues, this step's tokens give way to nobody.
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::int32_t slot = m_slot_of[static_cast<std::size_t>(wanted[i])];
    step.slots[i] = slot;
    if (slot >= 0) {
      unlink(slot);
      ++step.hits;
    }
  }
  std::size_t lowest = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (step.slots[i] >= 0) {
      continue;
    }
    std::int32_t slot = take_slot(lowest);
    if (slot >= 0) {
      m_slots[static_cast<std::size_t>(slot)] = {.token = wanted[i]};
      m_slot_of[static_cast<std::size_t>(wanted[i])] = slot;
    } else {
      slot = static_cast<std::int32_t>(-1 - step.bypassed++);
    }
    step.slots[i] = slot;
    step.missing.push_back(wanted[i]);
    step.targets.push_back(slot);
  }
  for (const std::int32_t slot : step.slots) {
    if (slot >= 0) {
      ++m_slots[static_cast<std::size_t>(slot)].uses;
      append(slot);
    }
  }
}

}  // namespace kvsieve::kernels
