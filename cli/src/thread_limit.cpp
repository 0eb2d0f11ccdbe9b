#include "thread_limit.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"

namespace kvsieve::cli {
namespace {

/// More threads than any machine has cores would only cost memory.
constexpr int kMostThreads = 1024;

}  // namespace

void check_threads(int threads) {
  if (threads < 0 || threads > kMostThreads) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--threads is {}, expected 0 to {}", threads, kMostThreads));
  }
}

std::optional<tbb::global_control> thread_limit(int threads) {
  std::optional<tbb::global_control> limit;
  if (threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism, threads);
  }
  return limit;
}

}  // namespace kvsieve::cli
