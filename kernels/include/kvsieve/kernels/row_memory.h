#pragma once
// Host memory for cached rows that are read at random.

#include <cstddef>
#include <utility>

namespace kvsieve::kernels {

/// `size()` bytes aligned to 64, contents undefined, in huge pages where the system hands them out
/// on request: with pages of 4 KiB nearly every row of a random list costs an address translation.
/// Throws Error(kMissingCapability) with the bytes asked for if there is not enough.
class RowMemory {
 public:
  RowMemory() = default;
  explicit RowMemory(std::size_t size);
  ~RowMemory();
  RowMemory(RowMemory&& other) noexcept
      : m_data(std::exchange(other.m_data, nullptr)), m_size(std::exchange(other.m_size, 0)) {}
  RowMemory& operator=(RowMemory&& other) noexcept {
    std::swap(m_data, other.m_data);
    std::swap(m_size, other.m_size);
    return *this;
  }

  [[nodiscard]] std::byte* data() const noexcept { return m_data; }
  [[nodiscard]] std::size_t size() const noexcept { return m_size; }

 private:
  std::byte* m_data = nullptr;
  std::size_t m_size = 0;
};

}  // namespace kvsieve::kernels
