// k-means with 4,096 codewords: an iteration from good centroids, and the seeding; and the codes of
// keys. Points are normal numbers whose axes have the widths 2^(-t / fall), which keys after
// whitening resemble; fall 0 is equal widths, where there is little to rule out.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "cases/case_groups.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/key_encoding.h"

namespace kvsieve::bench {
namespace {

using kernels::KMeansOptions;
using Numbers = std::shared_ptr<const std::vector<float>>;

constexpr std::int64_t kIterations = 4;

std::int64_t codewords_for(std::int64_t points) {
  return std::min<std::int64_t>(4096, points / 8);
}

Numbers points(std::int64_t n, std::int64_t d, std::int64_t fall) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  const auto rows = std::make_shared<std::vector<float>>(static_cast<std::size_t>(n * d));
  for (std::int64_t i = 0; i < n * d; ++i) {
    const float width =
        fall == 0 ? 1.0F : std::exp2(-static_cast<float>(i % d) / static_cast<float>(fall));
    (*rows)[static_cast<std::size_t>(i)] = width * normal(generator);
  }
  return rows;
}

/// The first iterations and the assignment after them, preparation included.
BenchCase kmeans_case(int threads, std::int64_t n, std::int64_t d, std::int64_t fall) {
  return {
      fmt::format("kmeans/d:{}/fall:{}/n:{}/threads:{}", d, fall, n, threads), threads, [=] {
        const Numbers rows = points(n, d, fall);
        KMeansOptions options{
            .clusters = codewords_for(n), .max_iterations = kIterations, .tolerance = 0.0};
        options.initial = {rows->data(), options.clusters, d};
        PreparedCase prepared;
        prepared.iterate = [=] {
          benchmark::DoNotOptimize(kernels::kmeans({rows->data(), n, d}, options).centroids.data());
        };
        // As if every distance were computed: shares above 1 are distances that were not.
        prepared.work = [=] {
          return kernels::codebook_training_work(kIterations, n, options.clusters, d);
        };
        return prepared;
      }};
}

/// Seeds and one iteration.
BenchCase seeding_case(int threads, std::int64_t n, kernels::KMeansSeeding seeding) {
  constexpr std::int64_t kDim = 64;
  return {fmt::format("kmeans_seeds/sampled:{}/n:{}/threads:{}",
                      static_cast<int>(seeding == kernels::KMeansSeeding::kSampled), n, threads),
          threads, [=] {
            const Numbers rows = points(n, kDim, 8);
            KMeansOptions options{
                .clusters = codewords_for(n), .max_iterations = 1, .tolerance = 0.0};
            options.seeding = seeding;
            PreparedCase prepared;
            prepared.iterate = [=] {
              benchmark::DoNotOptimize(
                  kernels::kmeans({rows->data(), n, kDim}, options).centroids.data());
            };
            return prepared;
          }};
}

kernels::HeadSlice slice_of(const std::vector<float>& rows, std::int64_t count, std::int64_t d) {
  return {{reinterpret_cast<const std::byte*>(rows.data()), traces::DType::kF32, {1, count, d}}, 0};
}

/// Codes of n keys under L = I.
BenchCase key_encoding_case(int threads, std::int64_t n, std::int64_t d) {
  return {fmt::format("key_encoding/d:{}/n:{}/threads:{}", d, n, threads), threads, [=] {
            const Numbers rows = points(n, d, 8);
            const std::int64_t codewords = codewords_for(n);
            std::vector<float> identity(static_cast<std::size_t>(d * d));
            for (std::int64_t i = 0; i < d; ++i) {
              identity[static_cast<std::size_t>(i * (d + 1))] = 1.0F;
            }
            const kernels::KeyEncoder encoder(slice_of(*rows, codewords, d),
                                              slice_of(identity, d, d));
            const auto codes =
                std::make_shared<std::vector<std::uint16_t>>(static_cast<std::size_t>(n));
            PreparedCase prepared;
            prepared.iterate = [=] { encoder.encode(slice_of(*rows, n, d), 0, *codes); };
            prepared.work = [=] {
              kernels::Work work = kernels::key_encoding_work(n, codewords, d, 4);
              // Not folded into the codewords here.
              work += kernels::Work{d * d * 4, 0, 2 * n * d * d};
              return work;
            };
            return prepared;
          }};
}

}  // namespace

std::vector<BenchCase> codebook_cases(int threads) {
  std::vector<BenchCase> cases;
  for (const std::int64_t n : kTokenCounts) {
    for (const std::int64_t d : {64, 128}) {
      for (const std::int64_t fall : {0, 8}) {
        cases.push_back(kmeans_case(threads, n, d, fall));
      }
    }
    cases.push_back(seeding_case(threads, n, kernels::KMeansSeeding::kPlusPlus));
    cases.push_back(seeding_case(threads, n, kernels::KMeansSeeding::kSampled));
    cases.push_back(key_encoding_case(threads, n, 128));
  }
  return cases;
}

}  // namespace kvsieve::bench
