#pragma once
// Device memory of which only what is touched has to exist on the host executor, for tests of
// offsets beyond 2^31 elements.

#include <cstddef>
#include <cstdint>

#include "exec/device/runtime.h"
#ifdef KVSIEVE_TEST_SIMT
#include "kernels/adakv/sparse_memory.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

class LargeMemory {
 public:
  explicit LargeMemory(std::int64_t bytes) : m_memory(static_cast<std::size_t>(bytes)) {}

  /// Whether the machine had that much address space left.
  [[nodiscard]] bool exists() const {
#ifdef KVSIEVE_TEST_SIMT
    return m_memory.mapped();
#else
    return true;
#endif
  }
  [[nodiscard]] std::byte* data() const {
    return m_memory.data();
  }

 private:
#ifdef KVSIEVE_TEST_SIMT
  tests::SparseMemory m_memory;
#else
  DeviceBuffer<std::byte> m_memory;
#endif
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
