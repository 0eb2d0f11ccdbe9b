// Retrieval of 3 % of the tokens for the query heads of one layer, with and without buckets.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>

#include "bench/retrieval_layer.h"
#include "bench/roofline.h"

namespace kvsieve::bench {
namespace {

// Codebooks of 16 MiB each: a model's decode step meets no layer twice.
constexpr std::int64_t kLayers = 4;
constexpr std::int64_t kTinyTokens = 1024;

/// Layers with the same random codebooks and codes, each in memory of its own.
class Layers {
 public:
  explicit Layers(std::int64_t tokens) {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::int64_t count) {
      std::vector<float> numbers(static_cast<std::size_t>(count));
      std::generate(numbers.begin(), numbers.end(), [&] { return normal(generator); });
      return numbers;
    };
    constexpr std::int64_t kHeadFloats = RetrievalLayer::kKvHeads * RetrievalLayer::kHeadDim;
    const std::vector<float> codewords = draw(kHeadFloats * RetrievalLayer::kCodewords);
    m_queries = draw(kHeadFloats * RetrievalLayer::kGroup);
    m_codes.resize(static_cast<std::size_t>(RetrievalLayer::kKvHeads * tokens));
    for (std::uint16_t& code : m_codes) {
      code = static_cast<std::uint16_t>(generator() % RetrievalLayer::kCodewords);
    }
    for (std::int64_t i = 0; i < kLayers; ++i) {
      m_layers.emplace_back(codewords.data(), m_codes.data(), tokens);
    }
  }

  [[nodiscard]] const float* queries() const { return m_queries.data(); }
  [[nodiscard]] RetrievalLayer& next() {
    m_turn = (m_turn + 1) % m_layers.size();
    return m_layers[m_turn];
  }

 private:
  std::vector<float> m_queries;
  std::vector<std::uint16_t> m_codes;
  std::vector<RetrievalLayer> m_layers;
  std::size_t m_turn = 0;
};

void retrieve(benchmark::State& state, bool with_buckets) {
  const std::int64_t tokens = state.range(0);
  const std::int64_t k = tokens * 3 / 100;
  const int threads = static_cast<int>(state.range(1));
  Layers layers(tokens);
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto iteration : state) {
      layers.next().retrieve(layers.queries(), k, with_buckets);
      benchmark::ClobberMemory();
    }
  });
  report_work(state, layers.next().work(k, with_buckets), threads);
}

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "threads"})
      ->ArgsProduct({{kTinyTokens, 32768, 131072}, {1, 2}})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
BENCHMARK_CAPTURE(retrieve, buckets, true)->Apply(arguments);
BENCHMARK_CAPTURE(retrieve, lookup, false)->Apply(arguments);

}  // namespace
}  // namespace kvsieve::bench
