#pragma once
// Loads and stores of kernels in pinned host memory, over the bus. Nothing else in a kernel touches
// host memory: the host SIMT executor checks and counts these.

#include "exec/device/numeric.cuh"
#ifndef __CUDACC__
#include <source_location>

#include "exec/simt/pinned_memory.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

#ifdef __CUDACC__

/// 16 bytes in one load; `address` is aligned to them. The host may change the memory between
/// launches, so no cache may answer from an earlier one: ld.cv fetches a line of system memory
/// anew, where the read-only path and a plain load may not. Rows are read once, so that nothing is
/// lost by it; neighbouring lanes still share a request.
template <class T>
__device__ inline Vector16<T> read_host16(const T* address) {
  Vector16<T> result;
  *reinterpret_cast<uint4*>(&result) = __ldcv(reinterpret_cast<const uint4*>(address));
  return result;
}

/// One store of 4 or 16 bytes, written through; the host sees it once the stream is synchronised.
template <class T>
__device__ inline void write_host(T* address, const T& value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 16);
  if constexpr (sizeof(T) == 16) {
    __stwt(reinterpret_cast<uint4*>(address), *reinterpret_cast<const uint4*>(&value));
  } else {
    __stwt(reinterpret_cast<unsigned*>(address), *reinterpret_cast<const unsigned*>(&value));
  }
}

#else

template <class T>
Vector16<T> read_host16(const T* address,
                        const std::source_location& where = std::source_location::current()) {
  simt::pass_host_read(address, sizeof(Vector16<T>), where);
  return load16(address);
}

template <class T>
void write_host(T* address, const T& value,
                const std::source_location& where = std::source_location::current()) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 16);
  simt::pass_host_write(address, sizeof(T), where);
  *address = value;
}

#endif

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
