#pragma once
// In place of the toolkit's header of this name: the thread block and its tiles of up to a warp.

#include <cuda_runtime.h>

#include <source_location>

namespace cooperative_groups {

using SourceLocation = std::source_location;

class thread_block {
 public:
  void sync(SourceLocation where = SourceLocation::current()) const { __syncthreads(where); }
  [[nodiscard]] unsigned thread_rank() const { return kvsieve::simt::this_thread().rank(); }
  [[nodiscard]] unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
  [[nodiscard]] unsigned num_threads() const { return size(); }
  [[nodiscard]] dim3 group_index() const { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
  [[nodiscard]] dim3 thread_index() const { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
};

inline thread_block this_thread_block() {
  return {};
}

/// Size neighbouring lanes of a warp; Size is a power of two.
template <unsigned Size>
class thread_block_tile {
  static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0);

 public:
  void sync(SourceLocation where = SourceLocation::current()) const { __syncwarp(mask(), where); }
  [[nodiscard]] unsigned thread_rank() const { return lane() % Size; }
  [[nodiscard]] static constexpr unsigned size() { return Size; }
  [[nodiscard]] static constexpr unsigned num_threads() { return Size; }
  [[nodiscard]] unsigned meta_group_rank() const {
    return kvsieve::simt::this_thread().rank() / Size;
  }
  [[nodiscard]] unsigned meta_group_size() const {
    return (thread_block().size() + Size - 1) / Size;
  }

  template <class T>
  T shfl(T value, int source, SourceLocation where = SourceLocation::current()) const {
    return __shfl_sync(mask(), value, source, kWidth, where);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, SourceLocation where = SourceLocation::current()) const {
    return __shfl_up_sync(mask(), value, delta, kWidth, where);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, SourceLocation where = SourceLocation::current()) const {
    return __shfl_down_sync(mask(), value, delta, kWidth, where);
  }
  template <class T>
  T shfl_xor(T value, int lanes, SourceLocation where = SourceLocation::current()) const {
    return __shfl_xor_sync(mask(), value, lanes, kWidth, where);
  }
  int any(int predicate, SourceLocation where = SourceLocation::current()) const {
    return __any_sync(mask(), predicate, where);
  }
  int all(int predicate, SourceLocation where = SourceLocation::current()) const {
    return __all_sync(mask(), predicate, where);
  }
  /// Bit i stands for the tile's lane i.
  unsigned ballot(int predicate, SourceLocation where = SourceLocation::current()) const {
    return __ballot_sync(mask(), predicate, where) >> first();
  }
  template <class T>
  unsigned match_any(T value, SourceLocation where = SourceLocation::current()) const {
    return __match_any_sync(mask(), value, where) >> first();
  }
  template <class T>
  unsigned match_all(T value, int& same, SourceLocation where = SourceLocation::current()) const {
    return __match_all_sync(mask(), value, &same, where) >> first();
  }

 private:
  static constexpr int kWidth = static_cast<int>(Size);

  static unsigned lane() { return kvsieve::simt::this_thread().lane; }
  static unsigned first() { return lane() / Size * Size; }
  static unsigned mask() { return kvsieve::simt::kAllLanes >> (32 - Size) << first(); }
};

template <unsigned Size, class Parent>
thread_block_tile<Size> tiled_partition(const Parent&) {
  return {};
}

}  // namespace cooperative_groups
