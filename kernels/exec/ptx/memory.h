#pragma once
// The memory that kernels may touch: which bytes are allocated, and which were written.

#include <cstddef>
#include <memory>

namespace kvsieve::ptx {

enum class MemoryKind {
  kDevice,
  kPinned,  ///< host memory that kernels reach over the bus
};

/// Global memory of the stand-in device. Addresses are the host's own. Not thread-safe.
class Memory {
 public:
  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Aligned to 256 bytes, nothing written yet (pinned memory, which the host writes unseen, counts
  /// as written). Throws std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t bytes, MemoryKind kind);
  /// Throws Error(kInternal) if `memory` is no allocation.
  void free(void* memory);

  /// A copy of the host to or from device memory; ends inside one allocation. Throws
  /// Error(kInternal) with the addresses if it does not, or if `check_read` finds bytes that nobody
  /// wrote. Memory of the host that is not of this object may be anything: true is returned for
  /// memory of this object.
  bool mark_written(void* begin, std::size_t bytes);
  bool check_read(const void* begin, std::size_t bytes) const;

  struct State;
  [[nodiscard]] State& state() { return *m_state; }

 private:
  std::unique_ptr<State> m_state;
};

}  // namespace kvsieve::ptx
