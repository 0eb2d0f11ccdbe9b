#include "kvsieve/kernels/window_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "exec/cpu/parallel.h"
#include "kernels/adakv/window_scores_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/attention/random_heads.h"

namespace kvsieve::kernels::tests {
namespace {

using traces::DType;

/// Column means [G, n] and their storage.
struct Means {
  std::int64_t members;
  std::int64_t n;
  std::vector<float> data;

  Means(std::int64_t group, std::int64_t tokens)
      : members(group), n(tokens), data(static_cast<std::size_t>(members * n), -9.0F) {}
  [[nodiscard]] MatrixView<float> view() { return {data.data(), members, n}; }
};

HeadKeys load_keys(const HeadProblem& problem) {
  const RopePhases phases(traces::RopeTable(problem.item.rope, problem.item.head_dim),
                          problem.item.all_tokens());
  HeadKeys keys;
  keys.load(HeadSlice(problem.keys.view(), 0), &phases);
  return keys;
}

Means column_means(const HeadProblem& problem, const HeadKeys& keys, std::int64_t n) {
  Means means(problem.item.group, n);
  attention_column_means(problem.queries.view(), problem.positions, keys, problem.item.attention,
                         means.view());
  return means;
}

void expect_means(const HeadProblem& problem, Means means) {
  const Matrix expected =
      reference_column_means(problem.queries.exact, problem.positions, problem.rotated_keys(),
                             means.n, problem.item.attention);
  for (std::int64_t g = 0; g < means.members; ++g) {
    for (std::int64_t j = 0; j < means.n; ++j) {
      ASSERT_NEAR(means.view().row(g)[static_cast<std::size_t>(j)], expected.at(g, j),
                  2e-5 * expected.at(g, j) + 1e-12)
          << "member " << g << ", key " << j;
    }
  }
}

TEST(ColumnMeans, T21_T24_EqualTheReferenceOnEveryCase) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem problem(item);
    expect_means(problem, column_means(problem, load_keys(problem), item.tokens));
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(ColumnMeans, T21_ManyQueriesInSeveralBlocks) {
  // 3 * 150 rows: the blocks of rows end inside a member.
  for (const std::int64_t queries : {85, 86, 128, 150}) {
    AttentionCase item;
    item.group = 3;
    item.head_dim = 48;
    item.rope.dim = 48;
    item.tokens = 1100;
    item.queries = queries;
    item.attention.scale = 0.2;
    const HeadProblem problem(item);
    expect_means(problem, column_means(problem, load_keys(problem), item.tokens));
  }
}

TEST(ColumnMeans, T21_QueriesThatAreNotTheLast) {
  // As for H2O: observed queries anywhere, with gaps, some before most of the keys.
  AttentionCase item;
  item.group = 2;
  item.head_dim = 64;
  item.rope.dim = 64;
  item.tokens = 1300;
  item.queries = 6;
  item.attention.scale = 0.125;
  for (const bool sliding : {false, true}) {
    if (sliding) {
      item.attention.sliding_window = 100;
    }
    HeadProblem problem(item);
    problem.positions = {0, 15, 511, 512, 700, 1299};
    expect_means(problem, column_means(problem, load_keys(problem), item.tokens));
  }
}

TEST(ColumnMeans, QueriesWhoseWindowLiesBehindTheKeysSeeNothing) {
  // Decode queries with a sliding window that has left the prompt.
  AttentionCase item;
  item.group = 2;
  item.head_dim = 64;
  item.rope.dim = 64;
  item.tokens = 600;
  item.later_tokens = 400;
  item.queries = 4;
  item.attention.scale = 0.125;
  item.attention.sliding_window = 50;
  HeadProblem problem(item);
  problem.positions = {599, 640, 649, 999};
  expect_means(problem, column_means(problem, load_keys(problem), 600));
  problem.positions = {649, 700, 800, 999};
  Means nothing = column_means(problem, load_keys(problem), 600);
  EXPECT_EQ(std::count(nothing.data.begin(), nothing.data.end(), 0.0F), 2 * 600);
}

TEST(ColumnMeans, T22_WeightsOfAQuerySumToOne) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem problem(item);
    Means means = column_means(problem, load_keys(problem), item.tokens);
    const std::vector<std::int64_t> viewers =
        reference_viewers(problem.positions, item.tokens, item.attention);
    for (std::int64_t g = 0; g < item.group; ++g) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < item.tokens; ++j) {
        const auto slot = static_cast<std::size_t>(j);
        sum += static_cast<double>(means.view().row(g)[slot]) * static_cast<double>(viewers[slot]) /
               static_cast<double>(item.queries);
      }
      EXPECT_NEAR(sum, 1.0, 2e-6);
    }
  }
}

TEST(ColumnMeans, T25_QueryHeadsBelongToKvHeadQOverG) {
  // KV head 1 of 3: its members are the query heads 4 to 7, in that order.
  const std::int64_t group = 4;
  const RandomHeads keys(3, 70, 48, DType::kF32, 1);
  const RandomHeads queries(12, 5, 48, DType::kF32, 2);
  const std::vector<std::int32_t> positions = {65, 66, 67, 68, 69};
  traces::AttentionSpec attention;
  attention.scale = 0.3;
  HeadKeys packed;
  packed.load(HeadSlice(keys.view(), 1), nullptr);
  std::vector<float> rows(static_cast<std::size_t>(group * 5 * 48));
  for (std::int64_t g = 0; g < group; ++g) {
    load_rows(HeadSlice(queries.view(), 4 + g), 0, {rows.data() + g * 5 * 48, 5, 48});
  }
  Means means(group, 70);
  attention_column_means({rows.data(), group * 5, 48}, positions, packed, attention, means.view());
  for (std::int64_t head = 0; head < 12; ++head) {
    const Matrix expected = reference_column_means(queries.exact(head), positions,
                                                   keys.exact(head / group), 70, attention);
    double largest = 0.0;
    for (std::int64_t j = 0; j < 70; ++j) {
      largest =
          std::max(largest, std::abs(means.view().row(head % group)[static_cast<std::size_t>(j)] -
                                     expected.at(0, j)));
    }
    if (head / group == 1) {
      EXPECT_LT(largest, 1e-6) << head;
    } else {
      EXPECT_GT(largest, 1e-3) << head;
    }
  }
}

TEST(ColumnMeans, T49_KeysBehindThePromptChangeNothing) {
  // Scoring once after a chunked prefill, or with decoded keys in the cache already, is scoring the
  // prompt: the same bits whatever lies behind it.
  AttentionCase item;
  item.group = 2;
  item.head_dim = 80;
  item.rope.dim = 80;
  item.queries = 32;
  item.attention.scale = 0.1;
  for (const std::int64_t n : {500, 512, 513, 1030}) {
    item.tokens = n;
    item.later_tokens = 100;
    const HeadProblem longer(item);
    const HeadKeys all = load_keys(longer);
    traces::TensorView view = longer.keys.view();
    view.shape[1] = n;
    const RopePhases phases(traces::RopeTable(item.rope, 80), n);
    HeadKeys prompt;
    prompt.load(HeadSlice(view, 0), &phases);
    EXPECT_EQ(column_means(longer, all, n).data, column_means(longer, prompt, n).data) << n;
  }
}

TEST(ColumnMeans, WritesRowsAtTheirStride) {
  AttentionCase item;
  item.group = 3;
  item.rope.dim = 64;
  item.tokens = 530;
  item.queries = 9;
  item.attention.scale = 0.125;
  const HeadProblem problem(item);
  const HeadKeys keys = load_keys(problem);
  Means packed = column_means(problem, keys, 530);
  std::vector<float> wide(3 * 600, -9.0F);
  attention_column_means(problem.queries.view(), problem.positions, keys, item.attention,
                         {wide.data(), 3, 530, 600});
  for (std::int64_t g = 0; g < 3; ++g) {
    const auto row = packed.view().row(g);
    EXPECT_TRUE(std::equal(row.begin(), row.end(), wide.begin() + 600 * g));
    EXPECT_EQ(std::count(wide.begin() + 600 * g + 530, wide.begin() + 600 * (g + 1), -9.0F), 70);
  }
}

TEST(ColumnMeans, HeadsInParallelAreTheHeadsOneByOne) {
  // Operations that are parallel inside run inside a parallel loop: no thread's buffers may mix.
  std::vector<HeadProblem> problems;
  for (std::uint32_t i = 0; i < 12; ++i) {
    AttentionCase item;
    item.group = 1 + i % 3;
    item.head_dim = 48;
    item.rope.dim = 48;
    item.tokens = 300 + 150 * i;
    item.queries = 33;
    item.attention.scale = 0.15;
    problems.emplace_back(item, i);
  }
  const auto run = [&](int threads) {
    std::vector<std::vector<float>> results(problems.size());
    with_threads(threads, [&] {
      parallel_blocks(
          static_cast<std::int64_t>(problems.size()), 1, [&](std::int64_t first, std::int64_t) {
            const auto i = static_cast<std::size_t>(first);
            results[i] =
                column_means(problems[i], load_keys(problems[i]), problems[i].item.tokens).data;
          });
    });
    return results;
  };
  const auto expected = run(1);
  EXPECT_EQ(run(2), expected);
  EXPECT_EQ(run(5), expected);
}

TEST(ColumnMeans, BitsDoNotDependOnTheThreadCount) {
  AttentionCase item;
  item.group = 4;
  item.head_dim = 96;
  item.rope.dim = 96;
  item.tokens = 4097;
  item.queries = 70;  // two blocks of rows
  item.attention.scale = 0.1;
  const HeadProblem problem(item);
  const HeadKeys keys = load_keys(problem);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    with_threads(threads, [&] { results.push_back(column_means(problem, keys, 4097).data); });
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(ReduceGroup, MeanAndMaximumOverMembers) {
  for (const std::int64_t group : kGroups) {
    const RandomRows scores(group, 65, static_cast<std::uint32_t>(group));
    for (const GroupReduce reduce : {GroupReduce::kMean, GroupReduce::kMax}) {
      std::vector<float> reduced(65);
      reduce_group(scores.view(), reduce, reduced);
      const std::vector<double> expected = reference_reduce(scores.exact, reduce);
      for (std::size_t j = 0; j < 65; ++j) {
        EXPECT_NEAR(reduced[j], expected[j], reduce == GroupReduce::kMax ? 0.0 : 1e-6) << group;
      }
    }
  }
}

std::vector<float> pooled(const std::vector<float>& scores, const Pooling& pooling) {
  std::vector<float> result(scores.size(), -9.0F);
  pool_scores(scores, pooling, result);
  return result;
}

TEST(Pooling, T21_EqualsTheReference) {
  for (const std::int64_t n : {1, 2, 3, 6, 7, 8, 31, 33, 257}) {
    // All negative, so that a zero from the padding would win the maximum.
    std::vector<float> scores = RandomRows(1, n, 5).data;
    for (float& score : scores) {
      score = -0.5F - std::abs(score);
    }
    for (const auto kind : {Pooling::Kind::kNone, Pooling::Kind::kMax, Pooling::Kind::kAverage}) {
      for (const std::int64_t kernel : {1, 3, 5, 7, 21}) {
        const Pooling pooling{kind, kernel};
        const std::vector<float> actual = pooled(scores, pooling);
        const std::vector<double> expected =
            reference_pool({scores.begin(), scores.end()}, pooling);
        for (std::size_t j = 0; j < actual.size(); ++j) {
          EXPECT_NEAR(actual[j], expected[j], kind == Pooling::Kind::kAverage ? 1e-6 : 0.0)
              << n << " tokens, kernel " << kernel << ", token " << j;
        }
      }
    }
  }
}

TEST(Pooling, T21_AverageCountsThePaddingAsTorchDoes) {
  const std::vector<float> ones(10, 1.0F);
  const std::vector<float> average = pooled(ones, {Pooling::Kind::kAverage, 7});
  const float expected[] = {4, 5, 6, 7, 7, 7, 7, 6, 5, 4};  // of seven
  for (std::size_t j = 0; j < 10; ++j) {
    EXPECT_FLOAT_EQ(average[j], expected[j] / 7.0F);
  }
}

TEST(Pooling, T23_MaximumCoversItsInputAndSpreadsASpikeByThree) {
  const std::vector<float> noise = RandomRows(1, 200, 6).data;
  const std::vector<float> maximum = pooled(noise, {Pooling::Kind::kMax, 7});
  for (std::size_t j = 0; j < noise.size(); ++j) {
    EXPECT_GE(maximum[j], noise[j]);
  }
  EXPECT_EQ(pooled(noise, {Pooling::Kind::kMax, 1}), noise);
  EXPECT_EQ(pooled(noise, {Pooling::Kind::kAverage, 1}), noise);
  EXPECT_EQ(pooled(noise, {Pooling::Kind::kNone, 7}), noise);
  for (const std::size_t spike : {0U, 1U, 10U, 28U, 29U}) {
    std::vector<float> scores(30, 0.0F);
    scores[spike] = 1.0F;
    const std::vector<float> spread = pooled(scores, {Pooling::Kind::kMax, 7});
    for (std::size_t j = 0; j < 30; ++j) {
      const std::size_t distance = j > spike ? j - spike : spike - j;
      EXPECT_EQ(spread[j], distance <= 3 ? 1.0F : 0.0F) << spike << ", " << j;
    }
  }
}

TEST(Pooling, T26_CommutesWithTheGroupsMeanForTheAverageOnly) {
  const RandomRows scores(3, 60, 7);
  for (const Pooling& pooling :
       {Pooling{Pooling::Kind::kAverage, 5}, Pooling{Pooling::Kind::kMax, 5}}) {
    std::vector<float> reduced(60);
    reduce_group(scores.view(), GroupReduce::kMean, reduced);
    const std::vector<float> group_first = pooled(reduced, pooling);
    std::vector<float> members;
    for (std::int64_t g = 0; g < 3; ++g) {
      const auto row = scores.view().row(g);
      const std::vector<float> member = pooled({row.begin(), row.end()}, pooling);
      members.insert(members.end(), member.begin(), member.end());
    }
    std::vector<float> pool_first(60);
    reduce_group({members.data(), 3, 60}, GroupReduce::kMean, pool_first);
    float largest = 0.0F;
    for (std::size_t j = 0; j < 60; ++j) {
      largest = std::max(largest, std::abs(group_first[j] - pool_first[j]));
    }
    if (pooling.kind == Pooling::Kind::kAverage) {
      EXPECT_LT(largest, 1e-6F);
    } else {
      EXPECT_GT(largest, 0.1F);
    }
  }
}

TEST(KeyNormScores, AreMinusTheNorm) {
  for (const std::int64_t d : kHeadDims) {
    for (const DType dtype : kDTypes) {
      for (const std::int64_t tokens : {1, 33, 255, 256, 257, 600}) {
        const RandomHeads keys(2, tokens, d, dtype, 8);
        std::vector<float> scores(static_cast<std::size_t>(tokens), 5.0F);
        key_norm_scores(HeadSlice(keys.view(), 1), scores);
        for (std::int64_t j = 0; j < tokens; ++j) {
          double square = 0.0;
          for (std::int64_t t = 0; t < d; ++t) {
            square += keys.exact(1).at(j, t) * keys.exact(1).at(j, t);
          }
          ASSERT_NEAR(scores[static_cast<std::size_t>(j)], -std::sqrt(square),
                      1e-6 * std::sqrt(square))
              << tokens << " tokens, d " << d << ", token " << j;
        }
      }
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::tests
