// Ada-KV's compress pipeline on one layer of Llama-3.1-8B at 20 % budget, stage by stage and whole.

#include <benchmark/benchmark.h>

#include "bench/adakv_layer.h"
#include "bench/roofline.h"

namespace kvsieve::bench {
namespace {

using traces::DType;

struct Case {
  std::int64_t tokens;
  int threads;
  DType dtype;

  explicit Case(const benchmark::State& state)
      : tokens(state.range(0)),
        threads(static_cast<int>(state.range(1))),
        dtype(state.range(2) != 0 ? DType::kBF16 : DType::kF32) {}
};

/// Runs `stage` once an iteration, limited to the case's threads.
template <class Stage>
void run_stage(benchmark::State& state, int threads, const kernels::Work& work, Stage stage) {
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto iteration : state) {
      stage();
      benchmark::ClobberMemory();
    }
  });
  report_work(state, work, threads);
}

void window_scores(benchmark::State& state) {
  const Case item(state);
  AdaKvLayer layer(item.tokens, item.dtype);
  run_stage(state, item.threads, layer.score_work(), [&] { layer.score(); });
}

void allocation(benchmark::State& state) {
  const Case item(state);
  AdaKvLayer layer(item.tokens, item.dtype);
  layer.score();
  run_stage(state, item.threads, layer.allocate_work(), [&] { layer.allocate(); });
}

void selection(benchmark::State& state) {
  const Case item(state);
  AdaKvLayer layer(item.tokens, item.dtype);
  layer.score();
  layer.allocate();
  run_stage(state, item.threads, layer.select_work(), [&] { layer.select(); });
}

void compaction(benchmark::State& state) {
  const Case item(state);
  AdaKvLayer layer(item.tokens, item.dtype);
  layer.compress();
  run_stage(state, item.threads, layer.compact_work(), [&] { layer.compact(); });
}

void compress(benchmark::State& state) {
  const Case item(state);
  AdaKvLayer layer(item.tokens, item.dtype);
  kernels::Work work = layer.score_work();
  work += layer.allocate_work();
  work += layer.select_work();
  work += layer.compact_work();
  run_stage(state, item.threads, work, [&] { layer.compress(); });
}

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "threads", "bf16"})
      ->ArgsProduct({{1024, 32768, 131072}, {1, 2}, {0, 1}})
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}
BENCHMARK(window_scores)->Apply(arguments);
BENCHMARK(allocation)->Apply(arguments);
BENCHMARK(selection)->Apply(arguments);
BENCHMARK(compaction)->Apply(arguments);
BENCHMARK(compress)->Apply(arguments);

}  // namespace
}  // namespace kvsieve::bench
