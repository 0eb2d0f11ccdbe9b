// window_scores: a whole layer as it lies in a cache, and the engine behind it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "adakv/column_means.h"
#include "kernels/adakv/window_scores_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

using traces::DType;

// Softmax and means in fp32: an error of d * 2^-24 in a score of size 10 grows by the exponential.
constexpr double kTolerance = 2e-5;

/// A layer of random queries and keys. Keys [n, Hkv, d] are the same numbers in another order.
struct Layer {
  WindowScoresProblem problem;
  RandomHeads queries;
  RandomHeads keys;
  std::vector<std::byte> interleaved;

  Layer(std::int64_t kv_heads, std::int64_t group, std::int64_t d, std::int64_t tokens,
        std::int64_t window, DType dtype)
      : queries(kv_heads * group, window, d, dtype, 11), keys(kv_heads, tokens, d, dtype, 12) {
    problem.queries = queries.view().data;
    problem.keys = keys.view().data;
    problem.dtype = dtype;
    problem.q_heads = kv_heads * group;
    problem.kv_heads = kv_heads;
    problem.head_dim = d;
    problem.tokens = tokens;
    problem.window = window;
    problem.head_stride = tokens * d;
    problem.token_stride = d;
    problem.attention.scale = 2.0 / static_cast<double>(d);
  }

  void interleave() {
    const std::size_t row =
        static_cast<std::size_t>(problem.head_dim) * traces::size_of(problem.dtype);
    const auto heads = static_cast<std::size_t>(problem.kv_heads);
    const auto tokens = static_cast<std::size_t>(problem.tokens);
    interleaved.resize(heads * tokens * row);
    for (std::size_t head = 0; head < heads; ++head) {
      for (std::size_t j = 0; j < tokens; ++j) {
        std::memcpy(interleaved.data() + (j * heads + head) * row,
                    keys.view().data + (head * tokens + j) * row, row);
      }
    }
    problem.keys = interleaved.data();
    problem.head_stride = problem.head_dim;
    problem.token_stride = problem.head_dim * problem.kv_heads;
  }

  [[nodiscard]] std::int64_t outside() const { return problem.tokens - problem.window; }

  [[nodiscard]] std::vector<float> scores() const {
    std::vector<float> result(static_cast<std::size_t>(problem.kv_heads * outside()), -9.0F);
    window_scores(problem, {result.data(), problem.kv_heads, outside()});
    return result;
  }

  void expect_scores() const {
    const std::vector<float> actual = scores();
    const std::int64_t group = problem.q_heads / problem.kv_heads;
    std::vector<std::int32_t> positions(static_cast<std::size_t>(problem.window));
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(outside()));
    for (std::int64_t head = 0; head < problem.kv_heads; ++head) {
      Matrix outside_means(group, outside());
      for (std::int64_t g = 0; g < group; ++g) {
        const Matrix means =
            reference_column_means(queries.exact(head * group + g), positions, keys.exact(head),
                                   problem.tokens, problem.attention);
        std::copy_n(means.data.begin(), outside(), outside_means.data.begin() + g * outside());
      }
      const std::vector<double> expected =
          reference_pool(reference_reduce(outside_means, problem.group_reduce), problem.pooling);
      for (std::int64_t j = 0; j < outside(); ++j) {
        const double value = expected[static_cast<std::size_t>(j)];
        ASSERT_NEAR(actual[static_cast<std::size_t>(head * outside() + j)], value,
                    kTolerance * value)
            << "head " << head << ", token " << j;
      }
    }
  }
};

TEST(WindowScores, EqualTheReferenceInEveryLayout) {
  constexpr std::int64_t kLayerGroups[] = {1, 3, 4, 8};
  constexpr std::int64_t kLayerDims[] = {64, 80, 96, 128, 256};
  constexpr std::int64_t kLayerTokens[] = {33, 127, 128, 129, 513, 1025};
  constexpr std::int64_t kWindows[] = {1, 16, 32};
  const Pooling poolings[] = {
      {Pooling::Kind::kMax, 7}, {Pooling::Kind::kAverage, 5}, {Pooling::Kind::kNone, 1}};
  const std::size_t levels[] = {std::size(kLayerGroups),
                                std::size(kLayerDims),
                                std::size(kLayerTokens),
                                std::size(kWindows),
                                std::size(kDTypes),
                                std::size(poolings),
                                2,
                                2};
  for (const std::vector<std::size_t>& row : pairwise(levels)) {
    Layer layer(2, kLayerGroups[row[0]], kLayerDims[row[1]], kLayerTokens[row[2]], kWindows[row[3]],
                kDTypes[row[4]]);
    layer.problem.pooling = poolings[row[5]];
    layer.problem.group_reduce = row[6] == 0 ? GroupReduce::kMean : GroupReduce::kMax;
    if (row[7] == 1) {
      layer.interleave();
    }
    SCOPED_TRACE(testing::Message() << "G" << kLayerGroups[row[0]] << " d" << kLayerDims[row[1]]
                                    << " n" << kLayerTokens[row[2]] << " w" << kWindows[row[3]]
                                    << " " << traces::name_of(kDTypes[row[4]]));
    layer.expect_scores();
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(WindowScores, SoftcapAndSlidingWindow) {
  Layer layer(2, 4, 64, 700, 32, DType::kBF16);
  layer.problem.attention.softcap = 3.0;
  layer.expect_scores();
  layer.problem.attention.sliding_window = 300;
  layer.expect_scores();
}

TEST(WindowScores, OfAWindowThatIsEverythingAreNone) {
  const Layer layer(2, 1, 64, 32, 32, DType::kF32);
  EXPECT_TRUE(layer.scores().empty());
}

TEST(WindowScores, BitsDoNotDependOnTheThreadCount) {
  for (const DType dtype : kDTypes) {
    const Layer layer(3, 4, 128, 3000, 32, dtype);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 5}) {
      with_threads(threads, [&] { results.push_back(layer.scores()); });
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

TEST(WindowScores, WrongShapesAreUsageErrors) {
  const auto fails = [](WindowScoresProblem problem, std::int64_t rows, std::int64_t cols) {
    std::vector<float> scores(1000);
    try {
      window_scores(problem, {scores.data(), rows, cols});
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kUsage;
    }
    return false;
  };
  const Layer layer(2, 2, 64, 40, 8, DType::kF32);
  EXPECT_FALSE(fails(layer.problem, 2, 32));
  EXPECT_TRUE(fails(layer.problem, 1, 32));
  EXPECT_TRUE(fails(layer.problem, 2, 40));
  WindowScoresProblem problem = layer.problem;
  problem.q_heads = 3;
  EXPECT_TRUE(fails(problem, 2, 32));
  problem = layer.problem;
  problem.window = 0;
  EXPECT_TRUE(fails(problem, 2, 40));
  problem.window = 41;
  EXPECT_TRUE(fails(problem, 2, -1));
  problem = layer.problem;
  problem.dtype = DType::kI32;
  EXPECT_TRUE(fails(problem, 2, 32));
}

TEST(ColumnMeansStore, ComputingAgainGivesTheSameBits) {
  for (const DType dtype : kDTypes) {
    const RandomHeads keys(1, 1500, 80, dtype, 21);
    const RandomHeads queries(1, 300, 80, dtype, 22);  // two blocks of rows
    const StoredRows key_rows{keys.view().data, dtype, 80, 80};
    const StoredRows query_rows{queries.view().data, dtype, 80, 80};
    std::vector<std::int32_t> positions(100);
    std::iota(positions.begin(), positions.end(), 1400);
    traces::AttentionSpec attention;
    attention.scale = 0.1;
    const auto run = [&](ExponentialStore& store) {
      std::vector<float> means(3 * 1500);
      column_means(query_rows, 300, positions, key_rows, attention, store, {means.data(), 3, 1500});
      return means;
    };
    ExponentialStore none(0);
    ExponentialStore one_block(1 << 20);  // the second block of rows fits, the first does not
    ExponentialStore all;
    const std::vector<float> expected = run(none);
    EXPECT_EQ(run(one_block), expected);
    EXPECT_EQ(run(all), expected);
    EXPECT_EQ(run(all), expected) << "with memory that held something";
  }
}

TEST(ColumnMeansStore, IsKeptAndLimited) {
  ExponentialStore store(4096);
  float* memory = store.reserve(1024);
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(store.reserve(10), memory);
  EXPECT_EQ(store.reserve(1025), nullptr);
  ExponentialStore large;
  float* pages = large.reserve(std::int64_t{4} << 20U);
  ASSERT_NE(pages, nullptr);
  pages[0] = 1.0F;
  pages[(std::int64_t{4} << 20U) - 1] = 2.0F;
}

}  // namespace
}  // namespace kvsieve::kernels::tests
