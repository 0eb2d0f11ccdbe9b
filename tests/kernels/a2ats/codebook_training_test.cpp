#include "kvsieve/kernels/codebook_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

Matrix to_matrix(MatrixView<const double> view) {
  Matrix matrix(view.rows, view.cols);
  std::copy_n(view.data, view.rows * view.cols, matrix.data.begin());
  return matrix;
}

double norm(const Matrix& matrix) {
  return std::sqrt(
      std::inner_product(matrix.data.begin(), matrix.data.end(), matrix.data.begin(), 0.0));
}

Matrix minus(Matrix a, const Matrix& b) {
  std::transform(a.data.begin(), a.data.end(), b.data.begin(), a.data.begin(), std::minus<>());
  return a;
}

QueryMoment moment_of(MatrixView<const float> queries) {
  QueryMoment moment(queries.cols);
  moment.add(queries);
  return moment;
}

/// Mean over queries and keys of (q . (k - c(k)))^2 with the nearest codeword under L L^T.
double score_mse(const Calibration& data, const TrainedCodebook& book) {
  const Matrix keys = tests::to_matrix(data.key_view());
  const Matrix queries = tests::to_matrix(data.query_view());
  const Matrix codewords = tests::to_matrix(MatrixView<const float>(
      book.codewords.data(), static_cast<std::int64_t>(book.codewords.size()) / data.head_dim,
      data.head_dim));
  const Matrix lower =
      tests::to_matrix(MatrixView<const float>(book.cholesky.data(), data.head_dim, data.head_dim));
  const Matrix weights = reference_product(lower, transposed(lower));
  Matrix scores = reference_moment(queries);
  for (double& x : scores.data) {
    x /= static_cast<double>(queries.rows);
  }
  double sum = 0.0;
  const std::vector<Nearest> nearest = reference_codes(keys, codewords, weights);
  for (std::int64_t k = 0; k < keys.rows; ++k) {
    sum +=
        reference_distance(keys, k, codewords, nearest[static_cast<std::size_t>(k)].code, scores);
  }
  return sum / static_cast<double>(keys.rows);
}

TEST(CodebookTraining, T01_CholeskyReproducesTheRegularisedMoment) {
  for (const std::int64_t d : {1, 2, 33, 64, 128}) {
    const Calibration data(4, 6 * d, d, 1, 2);
    const QueryMoment moment = moment_of(data.query_view());
    const CholeskyFactor factor = factorise(moment);
    const Matrix lower = to_matrix(factor.matrix());
    const Matrix h = reference_regularised(reference_moment(tests::to_matrix(data.query_view())));
    EXPECT_LT(norm(minus(reference_product(lower, transposed(lower)), h)) / norm(h), 1e-12) << d;
    for (std::int64_t r = 0; r < d; ++r) {
      EXPECT_GT(lower.at(r, r), 0.0);
      for (std::int64_t c = r + 1; c < d; ++c) {
        ASSERT_EQ(lower.at(r, c), 0.0);
        ASSERT_EQ(moment.matrix().row(r)[static_cast<std::size_t>(c)],
                  moment.matrix().row(c)[static_cast<std::size_t>(r)]);
      }
    }
    // A different algorithm finds the same factor.
    EXPECT_LT(norm(minus(lower, reference_cholesky(h))) / norm(lower), 1e-9) << d;
  }
}

TEST(CodebookTraining, T02_WeightedDistanceIdentityAndNegativeControl) {
  const std::int64_t d = 32;
  const Calibration data(40, 500, d, 3, 4);
  const CholeskyFactor factor = factorise(moment_of(data.query_view()));
  const Matrix lower = to_matrix(factor.matrix());
  const Matrix h = reference_product(lower, transposed(lower));
  const Matrix keys = tests::to_matrix(data.key_view());
  const auto squared = [&](const Matrix& mapped, std::int64_t a, std::int64_t b) {
    double sum = 0.0;
    for (std::int64_t t = 0; t < d; ++t) {
      sum += std::pow(mapped.at(a, t) - mapped.at(b, t), 2);
    }
    return sum;
  };
  const Matrix z = reference_product(keys, lower);
  const Matrix wrong = reference_product(keys, transposed(lower));
  std::vector<float> device(static_cast<std::size_t>(40 * d));
  whiten(data.key_view(), factor.matrix(), {device.data(), 40, d});
  const Matrix computed = tests::to_matrix(MatrixView<const float>(device.data(), 40, d));
  double wrong_error = 0.0;
  for (std::int64_t k = 1; k < 40; ++k) {
    const double distance = reference_distance(keys, k, keys, 0, h);
    EXPECT_NEAR(squared(z, k, 0) / distance, 1.0, 1e-12);
    EXPECT_NEAR(squared(computed, k, 0) / distance, 1.0, 1e-4);
    wrong_error += std::abs(squared(wrong, k, 0) / distance - 1.0) / 39.0;
  }
  // k L^T measures another norm, off by tens of per cent on average.
  EXPECT_GT(wrong_error, 0.2);
}

TEST(CodebookTraining, T08_MomentIgnoresOrderAndChunksAndAddsOverShards) {
  const std::int64_t d = 48;
  const Calibration data(4, 3000, d, 5, 6);
  const MatrixView<const float> queries = data.query_view();
  const Matrix whole = to_matrix(moment_of(queries).matrix());
  EXPECT_LT(norm(minus(whole, reference_moment(tests::to_matrix(queries)))) / norm(whole), 1e-12);

  QueryMoment chunks(d);
  for (std::int64_t first = 0; first < queries.rows; first += 700) {
    chunks.add(queries.rows_from(first, std::min<std::int64_t>(700, queries.rows - first)));
  }
  EXPECT_EQ(chunks.rows(), 3000);
  EXPECT_LT(norm(minus(whole, to_matrix(chunks.matrix()))) / norm(whole), 1e-10);

  QueryMoment backwards(d);
  for (std::int64_t r = queries.rows - 1; r >= 0; --r) {
    backwards.add(queries.rows_from(r, 1));
  }
  EXPECT_LT(norm(minus(whole, to_matrix(backwards.matrix()))) / norm(whole), 1e-10);

  // The moment of a group is the sum of its heads'.
  QueryMoment group(d);
  for (std::int64_t head = 0; head < 3; ++head) {
    group.add(moment_of(queries.rows_from(head * 1000, 1000)));
  }
  EXPECT_EQ(group.rows(), 3000);
  EXPECT_LT(norm(minus(whole, to_matrix(group.matrix()))) / norm(whole), 1e-10);
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "different head dimensions",
                         [&] { group.add(QueryMoment(d + 1)); }));
}

TEST(CodebookTraining, T08_MomentReadsStridedRowsAndIsTheSameForAnyNumberOfThreads) {
  const RandomRows wide(20000, 40, 7);
  const MatrixView<const float> columns(wide.data.data(), 20000, 33, 40);
  std::vector<double> first;
  for (const int threads : {1, 2, 7}) {
    with_threads(threads, [&] {
      const QueryMoment moment = moment_of(columns);
      const std::vector<double> bits(moment.matrix().data, moment.matrix().data + 33 * 33);
      if (first.empty()) {
        first = bits;
      }
      EXPECT_EQ(bits, first) << threads;
    });
  }
}

TEST(CodebookTraining, T09_FewerQueriesThanDimensionsStillFactorise) {
  const std::int64_t d = 64;
  for (const std::int64_t rows : {1, 5, 63}) {
    const Calibration data(200, rows, d, 8, 9);
    const CholeskyFactor factor = factorise(moment_of(data.query_view()));
    EXPECT_TRUE(std::all_of(factor.lower.begin(), factor.lower.end(),
                            [](double x) { return std::isfinite(x); }));
    EXPECT_GT(factor.condition_number, 1e6) << rows;
    EXPECT_TRUE(std::isfinite(factor.condition_number));
    const TrainedCodebook book =
        train_codebook(data.key_view(), factor, {.clusters = 16, .seed = 1});
    EXPECT_TRUE(std::all_of(book.codewords.begin(), book.codewords.end(),
                            [](float x) { return std::isfinite(x); }));
  }
  const Calibration plenty(4, 4000, 8, 8, 9, 1.0);
  const double well_conditioned = factorise(moment_of(plenty.query_view())).condition_number;
  EXPECT_GE(well_conditioned, 1.0);
  EXPECT_LT(well_conditioned, 1e4);
  EXPECT_EQ(identity_factor(4).condition_number, 1.0);
}

TEST(CodebookTraining, T09_NoQueriesOrInfiniteOnesAreErrors) {
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no calibration queries",
                         [] { (void)factorise(QueryMoment(4)); }));
  const std::vector<float> row{1.0F, HUGE_VALF};
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "not finite", [&] {
    (void)factorise(moment_of(MatrixView<const float>(row.data(), 1, 2)));
  }));
}

TEST(CodebookTraining, T14_CodewordsAreMeansOfTheirMembersInKeySpaceToo) {
  const std::int64_t d = 24;
  const Calibration data(600, 900, d, 10, 11);
  for (const CholeskyFactor& factor :
       {identity_factor(d), factorise(moment_of(data.query_view()))}) {
    const TrainedCodebook book =
        train_codebook(data.key_view(), factor, {.clusters = 20, .tolerance = 0.0, .seed = 3});
    ASSERT_TRUE(book.clustering.converged);
    for (std::int64_t c = 0; c < 20; ++c) {
      std::vector<double> mean(static_cast<std::size_t>(d), 0.0);
      double members = 0.0;
      for (std::int64_t k = 0; k < 600; ++k) {
        if (book.clustering.labels[static_cast<std::size_t>(k)] == c) {
          members += 1.0;
          for (std::size_t t = 0; t < mean.size(); ++t) {
            mean[t] += static_cast<double>(data.key_view().row(k)[t]);
          }
        }
      }
      ASSERT_GT(members, 0.0);
      for (std::size_t t = 0; t < mean.size(); ++t) {
        EXPECT_NEAR(static_cast<double>(book.codewords[static_cast<std::size_t>(c * d) + t]),
                    mean[t] / members, 1e-4);
      }
    }
  }
}

TEST(CodebookTraining, T15_QueryAwareLowersTheHeldOutScoreError) {
  const std::int64_t d = 32;
  for (const std::uint32_t seed : {1U, 2U, 3U}) {
    const Calibration train(3000, 2000, d, 20 + seed, 30 + seed);
    const Calibration held_out(400, 500, d, 20 + seed, 40 + seed);
    for (const std::int64_t clusters : {32, 128}) {
      const KMeansOptions options{.clusters = clusters, .seed = seed};
      const TrainedCodebook plain = train_codebook(train.key_view(), identity_factor(d), options);
      const TrainedCodebook aware =
          train_codebook(train.key_view(), factorise(moment_of(train.query_view())), options);
      // Axes of keys and queries are independent here: the ratio is near one half.
      EXPECT_LT(score_mse(held_out, aware), 0.7 * score_mse(held_out, plain)) << seed;
    }
  }
}

TEST(CodebookTraining, T16_MoreCodewordsNeverDistortTrainingDataMore) {
  const Calibration data(4000, 600, 16, 50, 51);
  const CholeskyFactor factor = factorise(moment_of(data.query_view()));
  double previous = HUGE_VAL;
  for (const std::int64_t clusters : {64, 256, 1024, 4096}) {
    double best = HUGE_VAL;
    for (const std::uint64_t seed : {0U, 1U}) {
      const TrainedCodebook book = train_codebook(
          data.key_view(), factor, {.clusters = clusters, .max_iterations = 10, .seed = seed});
      best = std::min(best, book.clustering.objective.back());
    }
    EXPECT_LT(best, previous) << clusters;
    previous = best;
  }
  EXPECT_EQ(previous, 0.0);  // 4096 codewords for 4000 keys
}

TEST(CodebookTraining, T17_ACodebookServesItsOwnDataBest) {
  const std::int64_t d = 24;
  const Calibration a(1500, 800, d, 60, 61);
  const Calibration b(1500, 800, d, 62, 63);  // other clusters, other axes
  const TrainedCodebook book = train_codebook(a.key_view(), factorise(moment_of(a.query_view())),
                                              {.clusters = 64, .seed = 2});
  EXPECT_LT(2.0 * score_mse(a, book), score_mse(b, book));
}

TEST(CodebookTraining, WhiteningAndSolvingAreInverse) {
  for (const std::int64_t d : {1, 3, 16, 80}) {
    const Calibration data(50, 8 * d, d, 70, 71, 3.0);
    const CholeskyFactor factor = factorise(moment_of(data.query_view()));
    const Matrix z =
        reference_product(tests::to_matrix(data.key_view()), to_matrix(factor.matrix()));
    const std::vector<float> back =
        unwhiten(MatrixView<const double>(z.data.data(), 50, d), factor.matrix());
    for (std::size_t i = 0; i < back.size(); ++i) {
      EXPECT_NEAR(back[i], data.keys[i], 1e-5) << d;
    }
  }
}

TEST(CodebookTraining, WorkPassesOverThePointsOnceAnAssignment) {
  // 2 iterations and the assignment after them.
  constexpr Work kWork = codebook_training_work(2, 1000, 64, 32);
  static_assert(kWork.flops == 3 * 2 * 1000 * 64 * 32 + 2 * 1000 * 32);
  static_assert(kWork.bytes_read == 3 * (1000 + 64) * 32 * 4 + 2 * 1000 * 4);
  static_assert(kWork.bytes_written == 2 * 64 * 32 * 4 + 3 * 1000 * 4);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
