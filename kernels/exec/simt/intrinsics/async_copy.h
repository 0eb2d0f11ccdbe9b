#pragma once
// cp.async. The bytes arrive as late as CUDA allows, at the wait for them, and until then the
// target holds poison: a kernel that forgets the wait reads neither the old nor the new bytes.

#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>
#include <utility>

#include "exec/simt/block.h"
#include "exec/simt/sync_deletion.h"

namespace kvsieve::simt::cuda {

namespace detail {

inline void check_async_copy(const void* target, const void* source, std::size_t bytes,
                             std::size_t zeros, const std::source_location& where) {
  std::string message;
  if ((bytes != 4 && bytes != 8 && bytes != 16) || zeros > bytes) [[unlikely]] {
    message = "cp.async of " + std::to_string(bytes) + " bytes, " + std::to_string(zeros) +
              " of them zeros, supported: 4, 8 or 16";
  } else if ((reinterpret_cast<std::uintptr_t>(target) | reinterpret_cast<std::uintptr_t>(source)) %
                 bytes !=
             0) [[unlikely]] {
    message = "cp.async of " + std::to_string(bytes) + " bytes from or to a misaligned address";
  } else {
    return;
  }
  this_block().fail(std::move(message), where);
}

}  // namespace detail

/// Copies `bytes` (4, 8 or 16, and both addresses aligned to it) from global to shared memory; the
/// last `zeros` bytes of the target are filled with zeros instead.
inline void __pipeline_memcpy_async(void* target, const void* source, std::size_t bytes,
                                    std::size_t zeros = 0,
                                    std::source_location where = std::source_location::current()) {
  constexpr int kPoison = 0xff;
  detail::check_async_copy(target, source, bytes, zeros, where);
  Thread& self = this_thread();
  std::memset(target, kPoison, bytes);
  self.copies.push_back({static_cast<std::byte*>(target), static_cast<const std::byte*>(source),
                         static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(zeros),
                         self.committed_groups});
}

/// Makes a group of the copies since the last commit.
inline void __pipeline_commit() {
  ++this_thread().committed_groups;
}

/// Waits for all of this thread's groups but the newest `pending`.
inline void __pipeline_wait_prior(std::size_t pending,
                                  std::source_location where = std::source_location::current()) {
  if (is_deleted(where)) {
    return;
  }
  Thread& self = this_thread();
  const std::uint32_t end =
      self.committed_groups -
      static_cast<std::uint32_t>(pending < self.committed_groups ? pending : self.committed_groups);
  std::size_t done = 0;
  while (done < self.copies.size() && self.copies[done].group < end) {
    const PendingCopy& copy = self.copies[done];
    std::memcpy(copy.target, copy.source, copy.bytes - copy.zeros);
    std::memset(copy.target + (copy.bytes - copy.zeros), 0, copy.zeros);
    ++done;
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace kvsieve::simt::cuda
