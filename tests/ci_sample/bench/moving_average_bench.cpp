#include <benchmark/benchmark.h>

#include "moving_average.h"

namespace {

std::vector<double> series(std::size_t size) {
  std::vector<double> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    values[i] = static_cast<double>(i * 7919 % 104729);
  }
  return values;
}

void moving_average(benchmark::State& state) {
  const std::vector<double> values = series(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        sample::moving_average(values, static_cast<std::size_t>(state.range(1))));
  }
}

void highest_average(benchmark::State& state) {
  const std::vector<double> values = series(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        sample::highest_average(values, static_cast<std::size_t>(state.range(1))));
  }
}

BENCHMARK(moving_average)->ArgNames({"n", "window"})->Args({4096, 16})->Args({65536, 64});
BENCHMARK(highest_average)->ArgNames({"n", "window"})->Args({4096, 16});

}  // namespace
