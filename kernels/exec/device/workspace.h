#pragma once
// Cutting a caller's workspace into the arrays of an operation.

#include <cstddef>
#include <cstdint>

namespace kvsieve::kernels {

/// Hands out consecutive pieces of a workspace, each aligned to 16 bytes. Over a null pointer it
/// only adds up their sizes, so that an operation's size function and launcher share one layout.
class WorkspaceLayout {
 public:
  explicit WorkspaceLayout(void* workspace) : m_base(static_cast<unsigned char*>(workspace)) {}

  template <class T>
  [[nodiscard]] T* take(std::int64_t elements) {
    T* piece = m_base == nullptr ? nullptr : reinterpret_cast<T*>(m_base + m_bytes);
    m_bytes += (static_cast<std::size_t>(elements) * sizeof(T) + 15) / 16 * 16;
    return piece;
  }
  [[nodiscard]] std::size_t bytes() const { return m_bytes; }

 private:
  unsigned char* m_base;
  std::size_t m_bytes = 0;
};

}  // namespace kvsieve::kernels
