#pragma once
// What an operation costs, in one form for the cost model, the benchmarks and the docs.

#include <cstdint>

namespace kvsieve::kernels {

/// Bytes that must cross memory, and floating-point operations (an FMA counts two). An operand
/// counts once; or once a pass, where a pass over all of it cannot begin before the result of the
/// one before is known (digits of a select, seeds of k-means). What a kernel's tiles read again is
/// no work.
struct Work {
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
  std::int64_t flops = 0;

  constexpr Work& operator+=(const Work& other) {
    bytes_read += other.bytes_read;
    bytes_written += other.bytes_written;
    flops += other.flops;
    return *this;
  }
};

}  // namespace kvsieve::kernels
