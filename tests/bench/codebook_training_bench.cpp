// k-means with 4,096 codewords: an iteration from good centroids, and the seeding. Points are
// normal numbers whose axes have the widths 2^(-t / fall), which keys after whitening resemble;
// fall 0 is equal widths, where there is little to rule out.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "bench/roofline.h"
#include "kvsieve/kernels/codebook_training.h"

namespace kvsieve::bench {
namespace {

using kernels::KMeansOptions;
using kernels::MatrixView;

constexpr std::int64_t kIterations = 4;

std::vector<float> points(std::int64_t n, std::int64_t d, std::int64_t fall) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<std::size_t>(n * d));
  for (std::int64_t i = 0; i < n * d; ++i) {
    const float width =
        fall == 0 ? 1.0F : std::exp2(-static_cast<float>(i % d) / static_cast<float>(fall));
    rows[static_cast<std::size_t>(i)] = width * normal(generator);
  }
  return rows;
}

/// The first iterations and the assignment after them, preparation included.
void iterations(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const auto threads = static_cast<int>(state.range(1));
  const std::int64_t d = state.range(2);
  const std::vector<float> rows = points(n, d, state.range(3));
  KMeansOptions options{.clusters = std::min<std::int64_t>(4096, n / 8),
                        .max_iterations = kIterations,
                        .tolerance = 0.0};
  options.initial = {rows.data(), options.clusters, d};
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto run : state) {
      benchmark::DoNotOptimize(
          kernels::kmeans(MatrixView<const float>(rows.data(), n, d), options).centroids.data());
    }
  });
  // As if every distance were computed: shares above 1 are distances that were not.
  const kernels::Work one = kernels::codebook_training_work(n, options.clusters, d);
  report_work(state,
              {one.bytes_read * (kIterations + 1), one.bytes_written * (kIterations + 1),
               one.flops * (kIterations + 1)},
              threads);
}

/// Seeds and one iteration.
void seeding(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const auto threads = static_cast<int>(state.range(1));
  constexpr std::int64_t kDim = 64;
  const std::vector<float> rows = points(n, kDim, 8);
  KMeansOptions options{
      .clusters = std::min<std::int64_t>(4096, n / 8), .max_iterations = 1, .tolerance = 0.0};
  options.seeding =
      state.range(2) != 0 ? kernels::KMeansSeeding::kSampled : kernels::KMeansSeeding::kPlusPlus;
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto run : state) {
      benchmark::DoNotOptimize(
          kernels::kmeans(MatrixView<const float>(rows.data(), n, kDim), options).centroids.data());
    }
  });
}

BENCHMARK(iterations)
    ->ArgNames({"n", "threads", "d", "fall"})
    ->ArgsProduct({{1024, 32768, 131072}, {1, 2}, {64, 128}, {0, 8}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(seeding)
    ->ArgNames({"n", "threads", "sampled"})
    ->ArgsProduct({{1024, 32768, 131072}, {1, 2}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace kvsieve::bench
