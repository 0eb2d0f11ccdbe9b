#pragma once
// Counts what goes over one way of the bus, for runtime.h.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kvsieve::kernels {

/// Any thread may add. Relaxed: it orders nothing, so that race detectors see past it.
class BusCounter {
 public:
  /// Nothing at all if there are no bytes.
  void add(std::size_t bytes) {
    if (bytes > 0) {
      m_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
      m_pieces.fetch_add(1, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::int64_t bytes() const { return m_bytes.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t pieces() const { return m_pieces.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> m_bytes{0};
  std::atomic<std::int64_t> m_pieces{0};
};

}  // namespace kvsieve::kernels
