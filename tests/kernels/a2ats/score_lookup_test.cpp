#include "kvsieve/kernels/score_lookup.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/key_encoding.h"

namespace kvsieve::kernels::tests {
namespace {

HeadSlice as_head(const std::vector<float>& values, std::int64_t cols) {
  return {traces::TensorView{reinterpret_cast<const std::byte*>(values.data()),
                             traces::DType::kF32,
                             {1, static_cast<std::int64_t>(values.size()) / cols, cols}},
          0};
}

struct Table {
  std::vector<float> data;
  MatrixView<float> view;

  Table(std::int64_t rows, std::int64_t cols)
      : data(static_cast<std::size_t>(rows * ((cols + 15) / 16 * 16))),
        view(data.data(), rows, cols, (cols + 15) / 16 * 16) {}
};

TEST(ScoreLookup, TableIsEveryScaledProductWithACodeword) {
  for (const std::int64_t codewords : {1, 16, 17, 130}) {
    for (const std::int64_t d : {2, 64, 80}) {
      const RandomRows queries(5, d, 1);
      const RandomRows words(codewords, d, 2);
      traces::AttentionSpec attention;
      attention.scale = 0.17;
      HeadKeys packed;
      packed.load(as_head(words.data, d), nullptr);
      for (const bool capped : {false, true}) {
        attention.softcap = capped ? std::optional(3.0) : std::nullopt;
        Table table(5, codewords);
        score_table(queries.view(), packed, attention, table.view);
        const Matrix expected = reference_scores(queries.exact, words.exact, attention);
        for (std::int64_t r = 0; r < 5; ++r) {
          for (std::int64_t m = 0; m < codewords; ++m) {
            EXPECT_NEAR(table.view.row(r)[static_cast<std::size_t>(m)], expected.at(r, m), 1e-5);
          }
        }
      }
    }
  }
}

TEST(ScoreLookup, T06_FoldingTheFactorIntoCodebookOrQueryGivesTheSameScores) {
  const std::int64_t d = 40;
  const Calibration data(300, 400, d, 3, 4);
  QueryMoment moment(d);
  moment.add(data.query_view());
  const CholeskyFactor factor = factorise(moment);
  const TrainedCodebook book =
      train_codebook(data.key_view(), factor, {.clusters = 30, .tolerance = 0.0, .seed = 1});
  const Matrix zeta = [&] {
    Matrix matrix(30, d);
    matrix.data = book.clustering.means;
    return matrix;
  }();
  HeadKeys packed;
  packed.load(as_head(book.codewords, d), nullptr);
  traces::AttentionSpec attention;
  attention.scale = 1.0;
  Table table(data.query_view().rows, 30);
  score_table(data.query_view(), packed, attention, table.view);
  for (std::int64_t r = 0; r < 20; ++r) {
    // y = q L^-T by forward substitution on L y^T = q^T, then s = y zeta^T.
    std::vector<double> y(static_cast<std::size_t>(d));
    for (std::int64_t t = 0; t < d; ++t) {
      double sum = data.query_view().row(r)[static_cast<std::size_t>(t)];
      for (std::int64_t s = 0; s < t; ++s) {
        sum -= factor.matrix().row(t)[static_cast<std::size_t>(s)] * y[static_cast<std::size_t>(s)];
      }
      y[static_cast<std::size_t>(t)] = sum / factor.matrix().row(t)[static_cast<std::size_t>(t)];
    }
    for (std::int64_t m = 0; m < 30; ++m) {
      double score = 0.0;
      for (std::int64_t t = 0; t < d; ++t) {
        score += y[static_cast<std::size_t>(t)] * zeta.at(m, t);
      }
      EXPECT_NEAR(table.view.row(r)[static_cast<std::size_t>(m)], score, 2e-4);
    }
  }
}

TEST(ScoreLookup, T07_MeanScoreErrorOfTheCalibrationQueriesIsTheWeightedDistance) {
  const std::int64_t d = 20;
  const std::int64_t n = 120;
  const Calibration data(n, 90, d, 5, 6);
  const RandomRows codewords(16, d, 7);
  std::vector<float> factor(static_cast<std::size_t>(d * d), 0.0F);
  for (std::int64_t t = 0; t < d; ++t) {
    factor[static_cast<std::size_t>(t * d + t)] = 1.0F;
  }
  const KeyEncoder encoder(as_head(codewords.data, d), as_head(factor, d));
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(n));
  encoder.encode(as_head(data.keys, d), 0, codes);

  HeadKeys words;
  words.load(as_head(codewords.data, d), nullptr);
  HeadKeys keys;
  keys.load(as_head(data.keys, d), nullptr);
  traces::AttentionSpec attention;
  attention.scale = 1.0;
  Table table(90, 16);
  Table exact(90, n);
  score_table(data.query_view(), words, attention, table.view);
  score_table(data.query_view(), keys, attention, exact.view);  // every key its own codeword
  ScoreErrorSums sums;
  std::vector<float> approximate(static_cast<std::size_t>(n));
  for (std::int64_t r = 0; r < 90; ++r) {
    lookup_scores(table.view.row(r), codes, approximate);
    sums += score_error(exact.view.row(r), approximate);
  }
  const Matrix h = reference_moment(to_matrix(data.query_view()));  // the same queries, no epsilon
  double expected = 0.0;
  for (std::int64_t k = 0; k < n; ++k) {
    expected += reference_distance(to_matrix(data.key_view()), k, codewords.exact,
                                   codes[static_cast<std::size_t>(k)], h);
  }
  EXPECT_EQ(sums.tokens, 90 * n);
  EXPECT_NEAR(sums.squared_error / expected, 1.0, 1e-5);
}

TEST(ScoreLookup, T25_EveryKeyItsOwnCodewordGivesTheExactScores) {
  const std::int64_t d = 32;
  const std::int64_t n = 300;
  const Calibration data(n, 200, d, 8, 9);
  QueryMoment moment(d);
  moment.add(data.query_view());
  const TrainedCodebook book =
      train_codebook(data.key_view(), factorise(moment), {.clusters = n, .seed = 1});
  const KeyEncoder encoder(as_head(book.codewords, d), as_head(book.cholesky, d));
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(n));
  encoder.encode(as_head(data.keys, d), 0, codes);
  HeadKeys words;
  words.load(as_head(book.codewords, d), nullptr);
  traces::AttentionSpec attention;
  attention.scale = 0.5;
  Table table(200, n);
  score_table(data.query_view(), words, attention, table.view);
  const Matrix expected =
      reference_scores(to_matrix(data.query_view()), to_matrix(data.key_view()), attention);
  std::vector<float> scores(static_cast<std::size_t>(n));
  for (std::int64_t r = 0; r < 200; ++r) {
    lookup_scores(table.view.row(r), codes, scores);
    for (std::int64_t j = 0; j < n; ++j) {
      EXPECT_NEAR(scores[static_cast<std::size_t>(j)], expected.at(r, j), 2e-4);
    }
  }
}

TEST(ScoreLookup, ErrorSumsMatchTheirDefinition) {
  for (const std::size_t n : {std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{1001}}) {
    const RandomRows exact(1, static_cast<std::int64_t>(n), 10, 3.0);
    const RandomRows other(1, static_cast<std::int64_t>(n), 11, 3.0);
    const ScoreErrorSums sums = score_error(exact.data, other.data);
    const double mean = std::accumulate(exact.exact.data.begin(), exact.exact.data.end(), 0.0) /
                        static_cast<double>(n);
    double error = 0.0;
    double variation = 0.0;
    for (std::size_t j = 0; j < n; ++j) {
      error += std::pow(exact.exact.data[j] - other.exact.data[j], 2);
      variation += std::pow(exact.exact.data[j] - mean, 2);
    }
    EXPECT_NEAR(sums.squared_error, error, 1e-10 * error);
    EXPECT_NEAR(sums.variation, variation, 1e-10 * variation + 1e-12);
  }
  EXPECT_EQ(score_error({}, {}).tokens, 0);
}

TEST(ScoreLookup, WorkCountsTableAndGather) {
  static_assert(score_lookup_work(4, 4096, 1000, 128).flops == 2 * 4 * 4096 * 128);
  static_assert(score_lookup_work(4, 4096, 1000, 128).bytes_written == 4 * 1000 * 4);
  static_assert(score_lookup_work(4, 4096, 1000, 128, 2).bytes_read ==
                4 * 128 * 4 + 4096 * 128 * 2 + 1000 * 2);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
