#pragma once
// --threads.

#include <tbb/global_control.h>

#include <optional>

namespace kvsieve::cli {

/// Throws Error(kUsage) for a number of threads that --threads does not take.
void check_threads(int threads);

/// Keeps the process to so many threads for as long as it lives; 0 sets no limit.
[[nodiscard]] std::optional<tbb::global_control> thread_limit(int threads);

}  // namespace kvsieve::cli
