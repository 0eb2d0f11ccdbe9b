// One decode step over one layer of Llama-3.1-8B of which a fifth is kept.

#include <benchmark/benchmark.h>

#include "bench/decode_layers.h"
#include "bench/roofline.h"

namespace kvsieve::bench {
namespace {

// Several times the last-level caches of today's servers that one decode step could profit from.
constexpr std::int64_t kLeastBytes = std::int64_t{256} << 20;
constexpr std::int64_t kTinyTokens = 1024;

void decode(benchmark::State& state, traces::DType dtype) {
  const std::int64_t tokens = state.range(0);
  const int threads = static_cast<int>(state.range(1));
  DecodeLayers layers(tokens, dtype, tokens > kTinyTokens ? kLeastBytes : 0);
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto iteration : state) {
      kernels::ragged_decode(layers.next());
      benchmark::ClobberMemory();
    }
  });
  report_work(state, layers.work(), threads);
}

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "threads"})
      ->ArgsProduct({{kTinyTokens, 32768, 131072}, {1, 2}})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
BENCHMARK_CAPTURE(decode, bf16, traces::DType::kBF16)->Apply(arguments);
BENCHMARK_CAPTURE(decode, f16, traces::DType::kF16)->Apply(arguments);
BENCHMARK_CAPTURE(decode, f32, traces::DType::kF32)->Apply(arguments);

}  // namespace
}  // namespace kvsieve::bench
