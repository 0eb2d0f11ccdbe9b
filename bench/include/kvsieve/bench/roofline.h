#pragma once
// What this machine can do, measured in the benchmark's own process and with as many threads, so
// that a benchmark reports shares of it: shares can be compared between machines, times cannot.

#include <tbb/task_arena.h>

#include <cstdint>

namespace kvsieve::bench {

/// Limits of the machine with some number of threads.
struct Roofline {
  double read_bytes_per_second = 0.0;  ///< sequential reads of memory far larger than the caches
  double flops_per_second = 0.0;       ///< fp32 multiply-adds in registers, each two operations
};

/// The limits with `threads` threads, 1 or more, as they are now: of a machine that others use too
/// they change. Takes about half a second, with the widest vectors that the CPU backend itself
/// would use here.
[[nodiscard]] Roofline measure_roofline(int threads);

/// Bytes a second that `threads` threads read of rows at ascending random places, a sixteenth of
/// 256 MiB each, and do nothing with: what attention over selected rows can reach at most. Each row
/// is prefetched whole, once or twice, as far ahead as serves best, in huge pages where the system
/// grants them.
/// @param row_bytes a multiple of 64
[[nodiscard]] double measure_row_reads(int threads, std::int64_t row_bytes);

/// The limits, measured by the first call a thread count.
[[nodiscard]] const Roofline& roofline(int threads);

/// Runs body() with the CPU backend limited to `threads` threads.
template <class Body>
void with_threads(int threads, const Body& body) {
  tbb::task_arena arena(threads);
  arena.execute(body);
}

}  // namespace kvsieve::bench
