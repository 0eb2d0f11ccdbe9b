#pragma once
// Address space without memory behind it until it is written.

#include <sys/mman.h>

#include <cstddef>

namespace kvsieve::kernels::tests {

/// Reads as zeros. For tests of offsets beyond 2^31 elements.
class SparseMemory {
 public:
  explicit SparseMemory(std::size_t bytes)
      : m_bytes(bytes),
        m_data(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~SparseMemory() {
    if (mapped()) {
      munmap(m_data, m_bytes);
    }
  }
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;

  [[nodiscard]] bool mapped() const { return m_data != MAP_FAILED; }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(m_data); }

 private:
  std::size_t m_bytes;
  void* m_data;
};

}  // namespace kvsieve::kernels::tests
