// Attention over rows gathered at random from one layer of host memory: 6 % of the tokens, about
// the union of four query heads' 3 %.

#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/roofline.h"
#include "bench/sparse_layer.h"

namespace kvsieve::bench {
namespace {

// Several times the last-level caches of today's servers that one decode step could profit from.
constexpr std::int64_t kLeastBytes = std::int64_t{256} << 20;
constexpr std::int64_t kTinyTokens = 1024;

void sparse_decode(benchmark::State& state, traces::DType dtype) {
  const std::int64_t tokens = state.range(0);
  const int threads = static_cast<int>(state.range(1));
  SparseLayer layer(tokens, tokens * 6 / 100, state.range(2), dtype,
                    tokens > kTinyTokens ? kLeastBytes : 0);
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto iteration : state) {
      kernels::sparse_decode(layer.next());
      benchmark::ClobberMemory();
    }
  });
  report_work(state, layer.work(), threads);
}

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "threads", "d"})
      ->ArgsProduct({{kTinyTokens, 131072}, {1, 2}, {64, 128}})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
BENCHMARK_CAPTURE(sparse_decode, bf16, traces::DType::kBF16)->Apply(arguments);
BENCHMARK_CAPTURE(sparse_decode, f16, traces::DType::kF16)->Apply(arguments);
BENCHMARK_CAPTURE(sparse_decode, f32, traces::DType::kF32)->Apply(arguments);

}  // namespace
}  // namespace kvsieve::bench
