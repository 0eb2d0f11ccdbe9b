#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "a2ats/kmeans_seeds.h"
#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

void expect_never_increasing(const KMeansResult& result) {
  ASSERT_EQ(static_cast<std::int64_t>(result.objective.size()), result.iterations + 1);
  for (std::size_t i = 1; i < result.objective.size(); ++i) {
    // Centroids are rounded to fp32, which moves them off the exact means by 6e-8 of their size.
    EXPECT_LE(result.objective[i], result.objective[i - 1] * (1.0 + 1e-9) + 1e-12) << i;
  }
}

/// Points at few places: clusters empty out when centroids outnumber the places that matter.
std::vector<float> lumps(std::int64_t count, std::int64_t places, std::int64_t d) {
  const RandomRows centers(places, d, 5, 10.0);
  std::vector<float> points;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto center = centers.view().row(i * i % places);
    points.insert(points.end(), center.begin(), center.end());
  }
  return points;
}

TEST(KMeans, T11_ObjectiveNeverIncreases) {
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    const Calibration data(1500, 700, 20, 1, static_cast<std::uint32_t>(seed));
    for (const std::int64_t clusters : {1, 7, 64, 300}) {
      expect_never_increasing(kmeans(data.key_view(), {.clusters = clusters, .seed = seed}));
    }
    QueryMoment moment(20);
    moment.add(data.query_view());
    expect_never_increasing(
        train_codebook(data.key_view(), factorise(moment), {.clusters = 64, .seed = seed})
            .clustering);
  }
}

TEST(KMeans, T11_EmptyClustersAreReseededAndTheObjectiveStillFalls) {
  // Nearly as many centroids as points on a line: some points are too close for fp32 to tell apart,
  // so the lower of two centroids takes both and leaves the other one empty.
  std::int64_t reseeded = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const RandomRows points(1000, 1, static_cast<std::uint32_t>(seed));
    const KMeansResult result = kmeans(points.view(), {.clusters = 800, .seed = seed});
    expect_never_increasing(result);
    reseeded += result.reseeded;
  }
  EXPECT_GT(reseeded, 0);
}

TEST(KMeans, T12_SeedsAreDistinctPointsWhileThereAreAny) {
  const std::vector<float> points = lumps(500, 37, 3);
  const MatrixView<const float> view(points.data(), 500, 3);
  std::set<std::vector<float>> places;
  for (std::int64_t i = 0; i < 500; ++i) {
    places.emplace(view.row(i).begin(), view.row(i).end());
  }
  const auto distinct = static_cast<std::int64_t>(places.size());
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const std::int64_t count : {std::int64_t{1}, distinct / 2, distinct}) {
      std::set<std::vector<float>> chosen;
      for (const std::int64_t row : choose_seeds(view, count, seed)) {
        chosen.emplace(view.row(row).begin(), view.row(row).end());
      }
      EXPECT_EQ(static_cast<std::int64_t>(chosen.size()), count);
    }
    const std::vector<std::int64_t> more = choose_seeds(view, distinct + 4, seed);
    EXPECT_EQ(std::count(more.begin(), more.end(), more.front()), 5);
  }
}

TEST(KMeans, T12_SecondSeedFollowsTheSquaredDistances) {
  // From the point 0 the others lie at squared distances 1, 4 and 25.
  const std::vector<float> points{0.0F, 1.0F, 2.0F, 5.0F};
  const MatrixView<const float> view(points.data(), 4, 1);
  std::map<std::int64_t, std::map<std::int64_t, double>> drawn;
  constexpr int kDraws = 20000;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const std::vector<std::int64_t> seeds = choose_seeds(view, 2, seed);
    drawn[seeds[0]][seeds[1]] += 1.0;
  }
  for (std::int64_t first = 0; first < 4; ++first) {
    double draws = 0.0;
    double total = 0.0;
    for (std::int64_t second = 0; second < 4; ++second) {
      draws += drawn[first][second];
      total += std::pow(
          points[static_cast<std::size_t>(first)] - points[static_cast<std::size_t>(second)], 2);
    }
    EXPECT_NEAR(draws / kDraws, 0.25, 0.02);
    for (std::int64_t second = 0; second < 4; ++second) {
      const double expected = std::pow(points[static_cast<std::size_t>(first)] -
                                           points[static_cast<std::size_t>(second)],
                                       2) /
                              total;
      // Four standard deviations of 5000 draws at the most.
      EXPECT_NEAR(drawn[first][second] / draws, expected, 0.03) << first << ' ' << second;
    }
  }
}

TEST(KMeans, T12_SameSeedGivesTheSameBitsForAnyNumberOfThreads) {
  const Calibration data(5000, 10, 36, 2, 3);
  KMeansResult first;
  for (const int threads : {1, 2, 5}) {
    with_threads(threads, [&] {
      KMeansResult result =
          kmeans(data.key_view(), {.clusters = 100, .max_iterations = 12, .seed = 7});
      if (first.centroids.empty()) {
        first = std::move(result);
        return;
      }
      EXPECT_EQ(result.centroids, first.centroids);
      EXPECT_EQ(result.labels, first.labels);
      EXPECT_EQ(result.objective, first.objective);
    });
  }
  const KMeansResult other =
      kmeans(data.key_view(), {.clusters = 100, .max_iterations = 12, .seed = 8});
  EXPECT_NE(other.centroids, first.centroids);
}

TEST(KMeans, T13_AsManyCentroidsAsPointsLoseNothing) {
  const Calibration data(60, 10, 12, 4, 5);
  for (const std::int64_t clusters : {60, 61, 100}) {
    const KMeansResult result = kmeans(data.key_view(), {.clusters = clusters, .seed = 1});
    EXPECT_EQ(result.objective.back(), 0.0);
    EXPECT_TRUE(result.converged);
    EXPECT_EQ(result.dead_codes, clusters - 60);
    EXPECT_EQ(std::set<std::int32_t>(result.labels.begin(), result.labels.end()).size(), 60U);
  }
}

TEST(KMeans, T13_DuplicatesGiveNoNaN) {
  const std::vector<float> same(400, 3.25F);
  const std::vector<float> points = lumps(400, 9, 4);
  for (const MatrixView<const float>& view : {MatrixView<const float>(same.data(), 100, 4),
                                              MatrixView<const float>(points.data(), 400, 4)}) {
    const KMeansResult result = kmeans(view, {.clusters = 32, .seed = 2});
    EXPECT_EQ(result.objective.back(), 0.0);
    EXPECT_TRUE(std::all_of(result.centroids.begin(), result.centroids.end(),
                            [](float x) { return std::isfinite(x); }));
    EXPECT_GE(result.dead_codes, 32 - 9);
  }
}

TEST(KMeans, T14_CentroidsAreMeansAndPointsBelongToTheNearest) {
  const Calibration data(800, 10, 10, 6, 7);
  const KMeansResult result =
      kmeans(data.key_view(), {.clusters = 25, .tolerance = 0.0, .seed = 3});
  ASSERT_TRUE(result.converged);
  const Matrix keys = to_matrix(data.key_view());
  const Matrix centroids = to_matrix(MatrixView<const float>(result.centroids.data(), 25, 10));
  Matrix identity(10, 10);
  for (std::int64_t t = 0; t < 10; ++t) {
    identity.at(t, t) = 1.0;
  }
  const std::vector<Nearest> nearest = reference_codes(keys, centroids, identity);
  Matrix means(25, 10);
  std::vector<double> members(25, 0.0);
  double objective = 0.0;
  for (std::int64_t k = 0; k < keys.rows; ++k) {
    const auto label = result.labels[static_cast<std::size_t>(k)];
    if (nearest[static_cast<std::size_t>(k)].margin > 1e-5) {
      EXPECT_EQ(label, nearest[static_cast<std::size_t>(k)].code);
    }
    objective += nearest[static_cast<std::size_t>(k)].distance / 800.0;
    members[static_cast<std::size_t>(label)] += 1.0;
    for (std::int64_t t = 0; t < 10; ++t) {
      means.at(label, t) += keys.at(k, t);
    }
  }
  EXPECT_NEAR(result.objective.back(), objective, 1e-9 * objective);
  for (std::int64_t c = 0; c < 25; ++c) {
    for (std::int64_t t = 0; t < 10; ++t) {
      const double mean = means.at(c, t) / members[static_cast<std::size_t>(c)];
      EXPECT_NEAR(result.means[static_cast<std::size_t>(c * 10 + t)], mean, 1e-12);
      EXPECT_NEAR(centroids.at(c, t), mean, 1e-6);
    }
  }
}

TEST(KMeans, ReadsRowsWithAStride) {
  const RandomRows wide(200, 16, 9);
  std::vector<float> packed;
  for (std::int64_t i = 0; i < 200; ++i) {
    packed.insert(packed.end(), wide.data.begin() + i * 16, wide.data.begin() + i * 16 + 11);
  }
  const KMeansOptions options{.clusters = 8, .seed = 1};
  EXPECT_EQ(kmeans({wide.data.data(), 200, 11, 16}, options).centroids,
            kmeans({packed.data(), 200, 11}, options).centroids);
}

TEST(KMeans, RefusesWhatItCannotCluster) {
  const std::vector<float> points{1.0F, 2.0F, std::nanf(""), 4.0F};
  const MatrixView<const float> good(points.data(), 2, 1);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "key 2 is not finite", [&] {
    (void)kmeans({points.data(), 4, 1}, {.clusters = 2});
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no calibration keys", [&] {
    (void)kmeans({points.data(), 0, 1}, {.clusters = 2});
  }));
  for (const std::int64_t clusters : {0, -1, 65537}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "codewords",
                           [&] { (void)kmeans(good, {.clusters = clusters}); }));
  }
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "at least 1 iteration",
                         [&] { (void)kmeans(good, {.clusters = 1, .max_iterations = 0}); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "tolerance",
                         [&] { (void)kmeans(good, {.clusters = 1, .tolerance = std::nan("")}); }));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
