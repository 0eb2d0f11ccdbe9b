#pragma once
// Buffers that a thread keeps from one use to the next.

#include <cstddef>
#include <utility>
#include <vector>

namespace kvsieve::kernels {

/// Takes one of the thread's spare buffers for as long as it lives. Another one that the same
/// thread makes meanwhile, in a nested call or in a task that it took up while waiting, takes
/// another.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::size_t size) {
    if (!spare().empty()) {
      m_buffer = std::move(spare().back());
      spare().pop_back();
    }
    if (m_buffer.size() < size) {
      m_buffer.resize(size);
    }
  }
  ~Scratch() { spare().push_back(std::move(m_buffer)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// At least `size` elements of any content.
  [[nodiscard]] T* data() { return m_buffer.data(); }

 private:
  /// The last one given back lies on top, so that nested uses find the buffers of last time.
  static std::vector<std::vector<T>>& spare() {
    thread_local std::vector<std::vector<T>> buffers;
    return buffers;
  }

  std::vector<T> m_buffer;
};

}  // namespace kvsieve::kernels
