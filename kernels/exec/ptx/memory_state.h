#pragma once
// What Memory keeps of every allocation.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "exec/ptx/memory.h"
#include "exec/ptx/race_check.h"

namespace kvsieve::ptx {

/// One bit a byte of memory: whether somebody wrote it.
class WrittenBits {
 public:
  explicit WrittenBits(std::size_t bytes);

  void set(std::size_t begin, std::size_t bytes);
  void clear(std::size_t begin, std::size_t bytes);
  /// The first byte of [begin, begin + bytes) that nobody wrote; begin + bytes if there is none.
  [[nodiscard]] std::size_t first_unwritten(std::size_t begin, std::size_t bytes) const;
  /// Up to 32 aligned bytes, which lie in one word.
  [[nodiscard]] bool all(std::size_t begin, std::size_t bytes) const {
    const std::uint64_t mask = (std::uint64_t{1} << bytes) - 1;
    return (~m_words[begin / 64] >> (begin % 64) & mask) == 0;
  }
  [[nodiscard]] bool any(std::size_t begin, std::size_t bytes) const {
    const std::uint64_t mask = (std::uint64_t{1} << bytes) - 1;
    return (m_words[begin / 64] >> (begin % 64) & mask) != 0;
  }
  void set_aligned(std::size_t begin, std::size_t bytes) {
    m_words[begin / 64] |= ((std::uint64_t{1} << bytes) - 1) << (begin % 64);
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::uint64_t[], Free> m_words;
};

struct Allocation {
  std::uint64_t begin;
  std::size_t bytes;
  MemoryKind kind;
  WrittenBits written;
  Shadow shadow;

  Allocation(std::uint64_t address, std::size_t size, MemoryKind memory_kind)
      : begin(address), bytes(size), kind(memory_kind), written(size), shadow(size) {}
  ~Allocation();
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;
};

struct Memory::State {
  std::map<std::uint64_t, std::unique_ptr<Allocation>> allocations;
  std::map<std::uint64_t, std::size_t> freed;
  /// Addresses of module variables, by module.
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> variables;
  std::uint32_t now = 1;  ///< logical time (race_check.h), which never goes back

  Allocation& allocate(std::size_t bytes, MemoryKind kind);
  /// The allocation that an address lies in, or null.
  [[nodiscard]] Allocation* find(std::uint64_t address) const;
  /// "8 bytes after the end of an allocation of 1024 bytes"
  [[nodiscard]] std::string describe(std::uint64_t address) const;
  /// Starts the logical time anew when it gets near its end.
  void renew_time();
};

}  // namespace kvsieve::ptx
