#include "kvsieve/kernels/dense_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/attention/case_table.h"
#include "kernels/attention/dense_attention_reference.h"
#include "kernels/attention/random_heads.h"

namespace kvsieve::kernels::tests {
namespace {

using traces::DType;

constexpr float kUntouched = -77.0F;

std::int64_t padded(std::int64_t n) {
  return (n + 15) / 16 * 16;
}

/// A result with the row stride that the contract asks for.
struct Output {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<float> data;

  Output(std::int64_t row_count, std::int64_t col_count)
      : rows(row_count),
        cols(col_count),
        data(static_cast<std::size_t>(rows * padded(cols)), kUntouched) {}
  [[nodiscard]] MatrixView<float> view() { return {data.data(), rows, cols, padded(cols)}; }
};

HeadKeys load_keys(const HeadProblem& problem) {
  const RopePhases phases(traces::RopeTable(problem.item.rope, problem.item.head_dim),
                          problem.item.all_tokens());
  HeadKeys keys;
  keys.load(HeadSlice(problem.keys.view(), 0), &phases);
  return keys;
}

HeadValues load_values(const HeadProblem& problem) {
  HeadValues values;
  values.load(HeadSlice(problem.values.view(), 0));
  return values;
}

/// How far fp32 sums of d products may be off: the worst case of d roundings, and the same again
/// for the rotation of the keys.
Matrix score_tolerance(const HeadProblem& problem, const Matrix& keys) {
  traces::AttentionSpec plain = problem.item.attention;
  plain.softcap.reset();
  Matrix tolerance = reference_scores(magnitudes(problem.queries.exact), magnitudes(keys), plain);
  for (double& x : tolerance.data) {
    x = 2.0 * static_cast<double>(problem.item.head_dim + 8) * 0x1p-24 * x + 2e-6;
  }
  return tolerance;
}

void expect_near(MatrixView<const float> actual, const Matrix& expected, const Matrix& tolerance) {
  for (std::int64_t r = 0; r < actual.rows; ++r) {
    for (std::int64_t c = 0; c < actual.cols; ++c) {
      ASSERT_NEAR(actual.row(r)[static_cast<std::size_t>(c)], expected.at(r, c), tolerance.at(r, c))
          << "row " << r << ", column " << c;
    }
  }
}

TEST(AttentionScores, T21_EqualTheReferenceOnEveryCase) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem problem(item);
    const HeadKeys keys = load_keys(problem);
    const Matrix rotated = problem.rotated_keys();
    Output scores(problem.queries.exact.rows, item.all_tokens());
    attention_scores(problem.queries.view(), keys, 0, item.attention, scores.view());
    expect_near(scores.view(), reference_scores(problem.queries.exact, rotated, item.attention),
                score_tolerance(problem, rotated));
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(AttentionScores, T35_StretchesOfKeysGiveTheSameBits) {
  AttentionCase item;
  item.head_dim = 80;
  item.rope.dim = 80;
  item.tokens = 1025;
  item.queries = 9;
  item.attention.scale = 0.1;
  item.attention.softcap = 5.0;
  const HeadProblem problem(item);
  const HeadKeys keys = load_keys(problem);
  Output whole(9, 1025);
  attention_scores(problem.queries.view(), keys, 0, item.attention, whole.view());
  for (const std::int64_t step : {16, 48, 512, 1024}) {
    for (std::int64_t first = 0; first < 1025; first += step) {
      Output part(9, std::min<std::int64_t>(step, 1025 - first));
      attention_scores(problem.queries.view(), keys, first, item.attention, part.view());
      for (std::int64_t r = 0; r < 9; ++r) {
        const auto row = part.view().row(r);
        ASSERT_TRUE(std::equal(row.begin(), row.end(), whole.view().row(r).begin() + first))
            << "keys from " << first << ", row " << r;
      }
    }
  }
}

TEST(SoftmaxRows, T21_EqualsTheReferenceOnEveryCase) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const std::int64_t n = item.all_tokens();
    RandomRows scores(item.queries, n, 11, 3.0);
    const std::vector<std::int32_t> positions = item.positions();
    const Matrix expected = reference_softmax(scores.exact, positions, item.attention);
    softmax_rows({scores.data.data(), item.queries, n}, positions, item.attention);
    // Rounding of the score difference, of the exponential and of a sum in 16 parts.
    const double unit = 2e-6 + static_cast<double>(n / 16) * 0x1p-24;
    for (std::int64_t r = 0; r < item.queries; ++r) {
      for (std::int64_t j = 0; j < n; ++j) {
        ASSERT_NEAR(scores.view().row(r)[static_cast<std::size_t>(j)], expected.at(r, j),
                    unit * expected.at(r, j))
            << "row " << r << ", key " << j;
      }
    }
  }
}

TEST(SoftmaxRows, ScoresFarFromZeroNeitherOverflowNorVanish) {
  for (const float offset : {-3e4F, -300.0F, 300.0F, 3e4F}) {
    std::vector<float> row(40, offset);
    row[39] = 7.0F;  // in the future
    const std::vector<std::int32_t> positions = {38};
    softmax_rows({row.data(), 1, 40}, positions, {});
    for (std::size_t j = 0; j < 39; ++j) {
      EXPECT_NEAR(row[j], 1.0 / 39.0, 1e-8) << offset;
    }
    EXPECT_EQ(row[39], 0.0F);
  }
}

TEST(SoftmaxRows, ARowThatSeesNoKeyBecomesZero) {
  // With fewer columns than tokens, a sliding window can begin at or behind the last column.
  traces::AttentionSpec attention;
  attention.sliding_window = 4;
  for (const std::int64_t cols : {1, 7, 16, 33}) {
    for (const std::int64_t beyond : {3, 4, 5, 40, 1000}) {
      std::vector<float> rows(static_cast<std::size_t>(2 * cols + 64), kUntouched);
      std::fill_n(rows.begin(), 2 * cols, 1.0F);
      const auto position = static_cast<std::int32_t>(cols + beyond);
      const std::vector<std::int32_t> positions = {static_cast<std::int32_t>(cols - 1), position};
      softmax_rows({rows.data(), 2, cols}, positions, attention);
      EXPECT_NEAR(std::accumulate(rows.begin(), rows.begin() + cols, 0.0), 1.0, 1e-6);
      for (std::int64_t j = 0; j < cols; ++j) {
        EXPECT_EQ(rows[static_cast<std::size_t>(cols + j)], 0.0F)
            << cols << " columns, position " << position << ", key " << j;
      }
      EXPECT_EQ(std::count(rows.begin() + 2 * cols, rows.end(), kUntouched), 64)
          << cols << " columns, position " << position;
    }
  }
}

TEST(SoftmaxRows, ARowThatSeesNoKeyReadsNothingBehindIt) {
  traces::AttentionSpec attention;
  attention.sliding_window = 4;
  const std::vector<std::int32_t> positions = {20};
  std::vector<float> row(16, 1.0F);  // exactly the row, so that a sanitizer sees a step too far
  softmax_rows({row.data(), 1, 16}, positions, attention);
  EXPECT_EQ(std::count(row.begin(), row.end(), 0.0F), 16);
}

TEST(WeightedValues, T21_EqualTheReferenceOnEveryCase) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem problem(item);
    const HeadValues values = load_values(problem);
    const RandomRows weights(item.queries, item.tokens, 12);
    Output out(item.queries, item.head_dim);
    weighted_values(weights.view(), values, out.view());
    Matrix tolerance =
        reference_weighted_values(magnitudes(weights.exact), magnitudes(problem.values.exact(0)));
    for (double& x : tolerance.data) {
      x *= 1030.0 * 0x1p-24;  // sums are cut every 1024 tokens
    }
    expect_near(out.view(), reference_weighted_values(weights.exact, problem.values.exact(0)),
                tolerance);
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(WeightedValues, ListedTokensEqualTheReferenceOnEveryCase) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem problem(item);
    const HeadValues values = load_values(problem);
    const RandomRows weights(item.queries, item.tokens, 13);
    std::vector<std::int32_t> tokens;
    Matrix masked(item.queries, item.tokens);
    for (std::int64_t j = 0; j < item.tokens; ++j) {
      if (j % 3 != 1 && j % 7 != 5) {
        tokens.push_back(static_cast<std::int32_t>(j));
        for (std::int64_t r = 0; r < item.queries; ++r) {
          masked.at(r, j) = weights.exact.at(r, j);
        }
      }
    }
    Output out(item.queries, item.head_dim);
    weighted_values(weights.view(), values, tokens, out.view());
    Matrix tolerance =
        reference_weighted_values(magnitudes(masked), magnitudes(problem.values.exact(0)));
    for (double& x : tolerance.data) {
      x *= 1030.0 * 0x1p-24;
    }
    expect_near(out.view(), reference_weighted_values(masked, problem.values.exact(0)), tolerance);
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(WeightedValues, NoTokensGiveZero) {
  const RandomHeads heads(1, 40, 48, DType::kF32, 14);
  HeadValues values;
  values.load(HeadSlice(heads.view(), 0));
  const RandomRows weights(3, 40, 15);
  Output out(3, 48);
  weighted_values(weights.view(), values, {}, out.view());
  EXPECT_EQ(std::count(out.data.begin(), out.data.end(), 0.0F), 3 * 48);
  Output none(3, 48);
  weighted_values({weights.data.data(), 3, 0, 40}, values, none.view());
  EXPECT_EQ(std::count(none.data.begin(), none.data.end(), 0.0F), 3 * 48);
}

TEST(WeightedValues, T35_PartialSumsOverTokensAddUp) {
  const std::int64_t n = 4097;
  const RandomHeads heads(1, n, 64, DType::kBF16, 16);
  HeadValues values;
  values.load(HeadSlice(heads.view(), 0));
  const RandomRows weights(5, n, 17, 1.0 / 64.0);
  Output whole(5, 64);
  weighted_values(weights.view(), values, whole.view());
  for (const std::int64_t parts : {2, 3, 7, 64}) {
    std::vector<double> sums(5 * 64, 0.0);
    for (std::int64_t part = 0; part < parts; ++part) {
      std::vector<std::int32_t> tokens(
          static_cast<std::size_t>((part + 1) * n / parts - part * n / parts));
      std::iota(tokens.begin(), tokens.end(), static_cast<std::int32_t>(part * n / parts));
      Output out(5, 64);
      weighted_values(weights.view(), values, tokens, out.view());
      for (std::size_t i = 0; i < sums.size(); ++i) {
        sums[i] += out.data[i];
      }
    }
    for (std::size_t i = 0; i < sums.size(); ++i) {
      EXPECT_NEAR(sums[i], whole.data[i], 2e-5) << parts << " parts";
    }
  }
}

TEST(ValueNorms, EqualTheReference) {
  for (const std::int64_t tokens : {1, 31, 127, 128, 129, 257}) {
    for (const std::int64_t d : {2, 48, 80}) {
      for (const std::int64_t width : {1, 31, 33, 100}) {
        for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
          const RandomHeads heads(2, tokens, d, dtype, 18);
          const RandomHeads projection(3, d, width, dtype, 19);
          PackedMatrix packed;
          packed.pack(HeadSlice(projection.view(), 2));
          std::vector<float> norms(static_cast<std::size_t>(tokens), kUntouched);
          value_norms(HeadSlice(heads.view(), 1), packed, norms);
          const std::vector<double> expected =
              reference_value_norms(heads.exact(1), projection.exact(2));
          const std::vector<double> without_cancelling =
              reference_value_norms(magnitudes(heads.exact(1)), magnitudes(projection.exact(2)));
          const double unit = static_cast<double>(d + width / 16 + 8) * 0x1p-24;
          for (std::size_t j = 0; j < norms.size(); ++j) {
            ASSERT_NEAR(norms[j], expected[j], unit * without_cancelling[j])
                << tokens << " tokens, d " << d << ", width " << width << ", token " << j;
          }
        }
      }
    }
  }
}

TEST(ValueNorms, BitsDoNotDependOnTheThreadCount) {
  const RandomHeads heads(1, 1025, 96, DType::kF16, 20);
  const RandomHeads projection(1, 96, 130, DType::kF16, 21);
  PackedMatrix packed;
  packed.pack(HeadSlice(projection.view(), 0));
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    with_threads(threads, [&] {
      value_norms(HeadSlice(heads.view(), 0), packed, results.emplace_back(1025));
    });
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
