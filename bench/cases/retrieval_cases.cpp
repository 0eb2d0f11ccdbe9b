// Retrieval of 3 % of the tokens for the query heads of one layer, with and without buckets.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>

#include "cases/case_groups.h"
#include "kvsieve/bench/retrieval_layer.h"

namespace kvsieve::bench {
namespace {

// Codebooks of 16 MiB each: a model's decode step meets no layer twice.
constexpr std::int64_t kLayers = 4;

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

}  // namespace

std::vector<BenchCase> retrieval_cases(int threads) {
  std::vector<BenchCase> cases;
  for (const bool with_buckets : {true, false}) {
    for (const std::int64_t tokens : kTokenCounts) {
      cases.push_back({fmt::format("retrieve_tokens/by:{}/n:{}/threads:{}",
                                   with_buckets ? "buckets" : "lookup", tokens, threads),
                       threads, [with_buckets, tokens] {
                         const std::int64_t k = tokens * 3 / 100;
                         const auto layers = std::make_shared<Layers>(tokens);
                         PreparedCase prepared;
                         prepared.iterate = [=] {
                           layers->next().retrieve(layers->queries(), k, with_buckets);
                         };
                         prepared.work = [=] { return layers->next().work(k, with_buckets); };
                         return prepared;
                       }});
    }
  }
  return cases;
}

}  // namespace kvsieve::bench
