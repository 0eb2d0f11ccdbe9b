#pragma once
// Loops over independent pieces of work on the CPU backend's threads.

#include <tbb/parallel_for.h>
#if defined(__SANITIZE_THREAD__)
#include <tbb/task_arena.h>

#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <vector>
#endif

#include <algorithm>
#include <cstdint>

namespace kvsieve::kernels {

#if defined(__SANITIZE_THREAD__)
/// Stands in for tbb::parallel_for, from zero. libtbb is not compiled for ThreadSanitizer, which
/// would take every hand-over between its threads for a race; it understands plain threads. The
/// counter is relaxed: it must not order the bodies, or their races would not show.
template <class Body>
void parallel_for_index(std::int64_t count, const Body& body) {
  const std::int64_t limit = std::min<std::int64_t>(count, tbb::this_task_arena::max_concurrency());
  std::vector<std::exception_ptr> errors(
      static_cast<std::size_t>(std::max(limit, std::int64_t{0})));
  std::atomic<std::int64_t> next = 0;
  const auto work = [&](std::exception_ptr& error) {
    try {
      std::int64_t i = 0;
      while ((i = next.fetch_add(1, std::memory_order_relaxed)) < count) {
        body(i);
      }
    } catch (...) {
      error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (std::exception_ptr& error : errors) {
    threads.emplace_back(work, std::ref(error));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) {
      std::rethrow_exception(error);
    }
  }
}
#else
template <class Body>
void parallel_for_index(std::int64_t count, const Body& body) {
  tbb::parallel_for(std::int64_t{0}, count, body);
}
#endif

/// Calls body(first, last) for consecutive blocks of `block` indices that cover [0, count). Blocks
/// are fixed by `block` alone, so results never depend on the number of threads.
template <class Body>
void parallel_blocks(std::int64_t count, std::int64_t block, const Body& body) {
  const std::int64_t blocks = (count + block - 1) / block;
  parallel_for_index(blocks,
                     [&](std::int64_t i) { body(i * block, std::min(count, (i + 1) * block)); });
}

}  // namespace kvsieve::kernels
