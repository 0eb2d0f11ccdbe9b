#pragma once
// The cases of cpu_cases(), one function a concept.

#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/bench/bench_case.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::bench {

/// With n = 1024 an iteration takes next to no time: what tests run.
inline constexpr std::int64_t kTinyTokens = 1024;
/// Lengths that decode and prefill are timed at.
inline constexpr std::int64_t kTokenCounts[] = {kTinyTokens, 32'768, 131'072};

/// Several times the last-level caches of today's servers that one decode step could profit from.
[[nodiscard]] constexpr std::int64_t least_bytes(std::int64_t tokens) {
  return tokens > kTinyTokens ? std::int64_t{256} << 20U : 0;
}

/// As case names have it: "bf16".
[[nodiscard]] std::string_view case_name_of(traces::DType dtype);

[[nodiscard]] std::vector<BenchCase> adakv_cases(int threads);
[[nodiscard]] std::vector<BenchCase> cache_cases(int threads);
[[nodiscard]] std::vector<BenchCase> codebook_cases(int threads);
[[nodiscard]] std::vector<BenchCase> cost_cases();
[[nodiscard]] std::vector<BenchCase> decode_cases(int threads);
[[nodiscard]] std::vector<BenchCase> replay_cases(int threads, const std::string& trace);
[[nodiscard]] std::vector<BenchCase> retrieval_cases(int threads);

}  // namespace kvsieve::bench
