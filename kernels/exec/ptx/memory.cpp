#include "exec/ptx/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "exec/ptx/memory_state.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

constexpr std::size_t kAlignment = 256;

std::uint64_t address_of(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory);
}

/// The allocation that holds [begin, begin + bytes); null if it begins in none. Throws Error.
Allocation* find_range(const Memory::State& state, const void* begin, std::size_t bytes) {
  Allocation* const found = state.find(address_of(begin));
  if (found != nullptr && address_of(begin) - found->begin + bytes > found->bytes) {
    throw Error(ErrorKind::kInternal,
                fmt::format("a copy of {} bytes at {} ends {} bytes after the end of an allocation "
                            "of {} bytes",
                            bytes, begin, address_of(begin) - found->begin + bytes - found->bytes,
                            found->bytes));
  }
  return found;
}

}  // namespace

WrittenBits::WrittenBits(std::size_t bytes)
    : m_words(
          static_cast<std::uint64_t*>(std::calloc((bytes + 63) / 64 + 1, sizeof(std::uint64_t)))) {
  if (m_words == nullptr) {
    throw std::bad_alloc();
  }
}

void WrittenBits::set(std::size_t begin, std::size_t bytes) {
  const std::size_t end = begin + bytes;
  for (std::size_t at = begin; at < end;) {
    const std::size_t count = std::min(end - at, 64 - at % 64);
    const std::uint64_t mask = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    m_words[at / 64] |= mask << (at % 64);
    at += count;
  }
}

void WrittenBits::clear(std::size_t begin, std::size_t bytes) {
  const std::size_t end = begin + bytes;
  for (std::size_t at = begin; at < end;) {
    const std::size_t count = std::min(end - at, 64 - at % 64);
    const std::uint64_t mask = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    m_words[at / 64] &= ~(mask << (at % 64));
    at += count;
  }
}

std::size_t WrittenBits::first_unwritten(std::size_t begin, std::size_t bytes) const {
  const std::size_t end = begin + bytes;
  for (std::size_t at = begin; at < end;) {
    const std::uint64_t missing = ~m_words[at / 64] >> (at % 64);
    if (missing != 0) {
      const auto skip = static_cast<std::size_t>(std::countr_zero(missing));
      return std::min(end, at + skip);
    }
    at += 64 - at % 64;
  }
  return end;
}

Allocation::~Allocation() {
  munmap(reinterpret_cast<void*>(begin), std::max<std::size_t>(bytes, 1));
}

Allocation& Memory::State::allocate(std::size_t bytes, MemoryKind kind) {
  const std::size_t rounded =
      std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  // A device has more memory than the tests of offsets beyond 2^31 elements ever touch.
  void* const memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  auto allocation = std::make_unique<Allocation>(address_of(memory), bytes, kind);
  // What was freed and is in use again is no longer worth a word.
  const std::uint64_t end = allocation->begin + rounded;
  auto old = freed.upper_bound(allocation->begin);
  if (old != freed.begin() && std::prev(old)->first + std::prev(old)->second > allocation->begin) {
    --old;
  }
  while (old != freed.end() && old->first < end) {
    old = freed.erase(old);
  }
  Allocation& result = *allocation;
  allocations[result.begin] = std::move(allocation);
  return result;
}

Allocation* Memory::State::find(std::uint64_t address) const {
  const auto after = allocations.upper_bound(address);
  if (after == allocations.begin()) {
    return nullptr;
  }
  Allocation* const before = std::prev(after)->second.get();
  return address - before->begin < before->bytes ? before : nullptr;
}

std::string Memory::State::describe(std::uint64_t address) const {
  if (const Allocation* inside = find(address)) {
    return fmt::format("{} bytes into an allocation of {} bytes", address - inside->begin,
                       inside->bytes);
  }
  auto gone = freed.upper_bound(address);
  if (gone != freed.begin() && address - std::prev(gone)->first < std::prev(gone)->second) {
    --gone;
    return fmt::format("{} bytes into {} bytes that were freed", address - gone->first,
                       gone->second);
  }
  constexpr std::uint64_t kNear = 1U << 20U;
  const auto after = allocations.upper_bound(address);
  if (after != allocations.begin()) {
    const Allocation& before = *std::prev(after)->second;
    const std::uint64_t distance = address - before.begin - before.bytes;
    if (distance < kNear) {
      return fmt::format("{} bytes after the end of an allocation of {} bytes", distance,
                         before.bytes);
    }
  }
  if (after != allocations.end() && after->first - address < kNear) {
    return fmt::format("{} bytes before an allocation of {} bytes", after->first - address,
                       after->second->bytes);
  }
  return "in no allocation";
}

void Memory::State::renew_time() {
  constexpr std::uint32_t kOld = 0x80000000U;
  if (now > kOld) {
    for (const auto& [begin, allocation] : allocations) {
      allocation->shadow.clear();
    }
    now = 1;
  }
}

Memory::Memory() : m_state(std::make_unique<State>()) {}

Memory::~Memory() = default;

void* Memory::allocate(std::size_t bytes, MemoryKind kind) {
  Allocation& allocation = m_state->allocate(bytes, kind);
  if (kind == MemoryKind::kPinned) {
    allocation.written.set(0, bytes);
  }
  return reinterpret_cast<void*>(allocation.begin);
}

void Memory::free(void* memory) {
  const auto found = m_state->allocations.find(address_of(memory));
  if (found == m_state->allocations.end()) {
    throw Error(ErrorKind::kInternal, fmt::format("freeing {}, which lies {}", memory,
                                                  m_state->describe(address_of(memory))));
  }
  m_state->freed[found->first] = found->second->bytes;
  m_state->allocations.erase(found);
}

bool Memory::mark_written(void* begin, std::size_t bytes) {
  Allocation* const found = find_range(*m_state, begin, bytes);
  if (found != nullptr) {
    found->written.set(address_of(begin) - found->begin, bytes);
  }
  return found != nullptr;
}

bool Memory::check_read(const void* begin, std::size_t bytes) const {
  const Allocation* const found = find_range(*m_state, begin, bytes);
  if (found == nullptr) {
    return false;
  }
  const std::size_t offset = address_of(begin) - found->begin;
  const std::size_t unwritten = found->written.first_unwritten(offset, bytes);
  if (unwritten != offset + bytes) {
    throw Error(ErrorKind::kInternal,
                fmt::format("a copy of {} bytes at {} reads memory that nobody wrote: {} bytes "
                            "into an allocation of {} bytes",
                            bytes, begin, unwritten, found->bytes));
  }
  return true;
}

}  // namespace kvsieve::ptx
