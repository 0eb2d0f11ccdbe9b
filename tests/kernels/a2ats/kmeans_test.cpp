#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>

#include "a2ats/kmeans_seeds.h"
#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/counter_random.h"
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
  // Of the initial centroids, half are far from every point.
  const Calibration data(1000, 10, 8, 3, 4);
  std::vector<float> initial(data.keys.begin(), data.keys.begin() + 64 * 8);
  std::fill(initial.begin() + 32 * 8, initial.end(), 1000.0F);
  for (std::int64_t t = 0; t < 32; ++t) {
    initial[static_cast<std::size_t>((32 + t) * 8)] += static_cast<float>(t);
  }
  KMeansOptions options{.clusters = 64};
  options.initial = {initial.data(), 64, 8};
  const KMeansResult result = kmeans(data.key_view(), options);
  expect_never_increasing(result);
  EXPECT_EQ(result.reseeded, 32);
  EXPECT_EQ(result.dead_codes, 0);
}

/// Lloyd's algorithm as codebook_training.h words it, computing every distance.
KMeansResult plain_lloyd(MatrixView<const float> points, MatrixView<const float> initial,
                         std::int64_t iterations) {
  const auto n = static_cast<std::size_t>(points.rows);
  const auto clusters = static_cast<std::size_t>(initial.rows);
  KMeansResult result;
  for (std::int64_t c = 0; c < initial.rows; ++c) {
    result.centroids.insert(result.centroids.end(), initial.row(c).begin(), initial.row(c).end());
  }
  result.labels.assign(n, -1);
  std::vector<double> distances(n);
  std::vector<std::int64_t> counts;
  const auto d = static_cast<std::size_t>(points.cols);
  const auto distance = [&](std::size_t i, std::size_t c) {
    double sum = 0.0;
    for (std::size_t t = 0; t < d; ++t) {
      const double difference = static_cast<double>(points.row(static_cast<std::int64_t>(i))[t]) -
                                static_cast<double>(result.centroids[c * d + t]);
      sum += difference * difference;
    }
    return sum;
  };
  const auto assign = [&] {
    counts.assign(clusters, 0);
    double total = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t best = 0;
      double least = distance(i, 0);
      for (std::size_t c = 1; c < clusters; ++c) {
        const double next = distance(i, c);
        if (next < least) {
          least = next;
          best = c;
        }
      }
      const std::int32_t label = result.labels[i];
      if (label < 0 || least < distance(i, static_cast<std::size_t>(label))) {
        result.labels[i] = static_cast<std::int32_t>(best);
      }
      distances[i] = distance(i, static_cast<std::size_t>(result.labels[i]));
      ++counts[static_cast<std::size_t>(result.labels[i])];
      total += distances[i];
    }
    result.objective.push_back(total / static_cast<double>(n));
  };
  assign();
  for (; result.iterations < iterations && !result.converged; ++result.iterations) {
    for (std::size_t c = 0; c < clusters; ++c) {
      if (counts[c] > 0) {
        continue;
      }
      std::size_t worst = n;
      for (std::size_t i = 0; i < n; ++i) {
        const bool alone = counts[static_cast<std::size_t>(result.labels[i])] == 1;
        if (!alone && (worst == n || distances[i] > distances[worst])) {
          worst = i;
        }
      }
      if (worst == n || distances[worst] == 0.0) {
        break;
      }
      --counts[static_cast<std::size_t>(result.labels[worst])];
      counts[c] = 1;
      result.labels[worst] = static_cast<std::int32_t>(c);
      distances[worst] = 0.0;
      ++result.reseeded;
    }
    std::vector<double> sums(clusters * d, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t t = 0; t < d; ++t) {
        sums[static_cast<std::size_t>(result.labels[i]) * d + t] +=
            static_cast<double>(points.row(static_cast<std::int64_t>(i))[t]);
      }
    }
    result.converged = true;
    for (std::size_t at = 0; at < sums.size(); ++at) {
      if (counts[at / d] > 0) {
        const auto mean = static_cast<float>(sums[at] / static_cast<double>(counts[at / d]));
        result.converged = result.converged && mean == result.centroids[at];
        result.centroids[at] = mean;
      }
    }
    assign();
  }
  return result;
}

TEST(KMeans, RulingDistancesOutChangesNoBit) {
  struct Case {
    std::string name;
    std::vector<float> points;
    std::int64_t d;
    std::int64_t clusters;
  };
  std::vector<Case> cases;
  const auto gaussian = [&](std::int64_t n, std::int64_t d, std::int64_t clusters, float scale,
                            float offset) {
    RandomRows rows(n, d, static_cast<std::uint32_t>(n + d + clusters));
    for (float& x : rows.data) {
      x = x * scale + offset;
    }
    cases.push_back({fmt::format("gaussian {} {} {} {} {}", n, d, clusters, scale, offset),
                     rows.data, d, clusters});
  };
  gaussian(900, 64, 100, 1.0F, 0.0F);
  gaussian(700, 128, 70, 1.0F, 0.0F);
  gaussian(600, 33, 40, 1.0F, 300.0F);
  gaussian(600, 24, 40, 1e15F, 0.0F);
  gaussian(600, 24, 40, 1e-22F, 0.0F);
  gaussian(1500, 1, 300, 1.0F, 0.0F);
  gaussian(40, 16, 40, 1.0F, 0.0F);
  gaussian(30, 16, 64, 1.0F, 0.0F);
  gaussian(500, 20, 1, 1.0F, 0.0F);
  gaussian(500, 20, 2, 1.0F, 0.0F);
  const Calibration clustered(1200, 10, 64, 1, 2);
  cases.push_back({"clustered", clustered.keys, 64, 150});
  // The axes shrink by a factor of 2: all but a few are cut off.
  RandomRows narrow(1200, 64, 5);
  for (std::size_t i = 0; i < narrow.data.size(); ++i) {
    narrow.data[i] *= std::exp2(-static_cast<float>(i % 64) / 2.0F);
  }
  cases.push_back({"narrow", narrow.data, 64, 200});
  // Lumps far apart, their points closer together than codes can tell.
  std::vector<float> tight = lumps(1200, 12, 32);
  const RandomRows noise(1200, 32, 6);
  for (std::size_t i = 0; i < tight.size(); ++i) {
    tight[i] += 1e-3F * noise.data[i];
  }
  cases.push_back({"tight", tight, 32, 150});
  cases.push_back({"lumps", lumps(500, 37, 16), 16, 60});
  // Whole numbers: distances are exact, and many are equal.
  const RandomRows even(900, 8, 7);
  std::vector<float> lattice;
  for (const float x : even.data) {
    lattice.push_back(std::round(2.0F * x));
  }
  cases.push_back({"lattice", lattice, 8, 120});
  for (const Case& item : cases) {
    const auto n = static_cast<std::int64_t>(item.points.size()) / item.d;
    const MatrixView<const float> points(item.points.data(), n, item.d);
    std::vector<float> initial;
    for (std::int64_t c = 0; c < item.clusters; ++c) {
      const auto row = points.row(c * 7 % n);
      initial.insert(initial.end(), row.begin(), row.end());
    }
    KMeansOptions options{.clusters = item.clusters, .max_iterations = 12, .tolerance = 0.0};
    options.initial = {initial.data(), item.clusters, item.d};
    const KMeansResult result = kmeans(points, options);
    const KMeansResult expected = plain_lloyd(points, options.initial, 12);
    EXPECT_EQ(result.labels, expected.labels) << item.name;
    EXPECT_EQ(result.centroids, expected.centroids) << item.name;
    EXPECT_EQ(result.iterations, expected.iterations) << item.name;
    EXPECT_EQ(result.reseeded, expected.reseeded) << item.name;
    ASSERT_EQ(result.objective.size(), expected.objective.size()) << item.name;
    for (std::size_t i = 0; i < expected.objective.size(); ++i) {
      if (item.name == "lattice" && i == 0) {
        EXPECT_EQ(result.objective[i], expected.objective[i]);
      }
      EXPECT_NEAR(result.objective[i], expected.objective[i], 1e-12 * expected.objective[i])
          << item.name;
    }
  }
}

TEST(KMeans, ManyCentroidsOfFewDimensions) {
  const RandomRows rows(20000, 3, 8);
  KMeansOptions options{.clusters = 16384, .max_iterations = 2, .tolerance = 0.0};
  options.initial = rows.view().rows_from(3000, 16384);
  const KMeansResult result = kmeans(rows.view(), options);
  expect_never_increasing(result);
  // A sample of the points, by brute force.
  for (std::int64_t i = 0; i < 20000; i += 97) {
    double least = HUGE_VAL;
    for (std::int64_t c = 0; c < 16384; ++c) {
      double sum = 0.0;
      for (std::int64_t t = 0; t < 3; ++t) {
        const double difference =
            static_cast<double>(rows.view().row(i)[static_cast<std::size_t>(t)]) -
            static_cast<double>(result.centroids[static_cast<std::size_t>(c * 3 + t)]);
        sum += difference * difference;
      }
      least = std::min(least, sum);
      if (result.labels[static_cast<std::size_t>(i)] == c) {
        EXPECT_LE(sum, least);
      }
    }
    const auto label = static_cast<std::int64_t>(result.labels[static_cast<std::size_t>(i)]);
    double own = 0.0;
    for (std::int64_t t = 0; t < 3; ++t) {
      own += std::pow(
          static_cast<double>(rows.view().row(i)[static_cast<std::size_t>(t)]) -
              static_cast<double>(result.centroids[static_cast<std::size_t>(label * 3 + t)]),
          2);
    }
    EXPECT_LE(own, least) << i;
  }
}

TEST(KMeans, ProgressIsToldOfEveryIterationAndMayEndTheRun) {
  const Calibration data(3000, 10, 12, 1, 2);
  KMeansOptions options{.clusters = 200, .max_iterations = 7, .tolerance = 0.0};
  std::vector<std::int64_t> seen;
  options.progress = [&](std::int64_t iteration) { seen.push_back(iteration); };
  const KMeansResult result = kmeans(data.key_view(), options);
  ASSERT_EQ(result.iterations, 7);
  // While 200 seeds are drawn, after the first assignment, and after each iteration.
  ASSERT_GT(seen.size(), 8U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), static_cast<std::int64_t>(seen.size()) - 7);
  EXPECT_EQ(seen.back(), 7);
  options.progress = [&](std::int64_t iteration) {
    if (iteration == 3) {
      throw std::runtime_error("enough");
    }
    EXPECT_LT(iteration, 3);
  };
  EXPECT_THROW((void)kmeans(data.key_view(), options), std::runtime_error);
  options.progress = [](std::int64_t) { throw std::runtime_error("at once"); };
  EXPECT_THROW((void)kmeans(data.key_view(), options), std::runtime_error);
}

TEST(KMeans, T12_SampledSeedsAreThoseOfFourPointsACentroid) {
  const RandomRows rows(2000, 6, 3);
  const MatrixView<const float> view = rows.view();
  std::vector<double> drawn(2000, 0.0);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const std::vector<std::int64_t> seeds =
        choose_seeds(view, 50, seed, KMeansSeeding::kSampled, {});
    EXPECT_EQ(std::set<std::int64_t>(seeds.begin(), seeds.end()).size(), 50U);
    // The same draw, as the header words it.
    CounterRandom random(seed);
    std::set<std::int64_t> sample;
    for (std::int64_t i = 0; i < 2000; ++i) {
      const double wanted = 200.0 - static_cast<double>(sample.size());
      if (random.uniform() < wanted / static_cast<double>(2000 - i)) {
        sample.insert(i);
      }
    }
    EXPECT_EQ(sample.size(), 200U);
    for (const std::int64_t row : seeds) {
      EXPECT_TRUE(sample.contains(row)) << seed << ' ' << row;
      drawn[static_cast<std::size_t>(row)] += 1.0;
    }
  }
  // Both ends of the rows are drawn as often as the middle, up to five standard deviations.
  for (std::int64_t part = 0; part < 4; ++part) {
    EXPECT_NEAR(std::accumulate(drawn.begin() + part * 500, drawn.begin() + (part + 1) * 500, 0.0),
                3750.0, 5.0 * std::sqrt(3750.0));
  }
  // With no more points than that, the two are the same.
  EXPECT_EQ(choose_seeds(view, 500, 9, KMeansSeeding::kSampled, {}),
            choose_seeds(view, 500, 9, KMeansSeeding::kPlusPlus, {}));
  KMeansOptions options{.clusters = 50, .max_iterations = 5, .seed = 4};
  options.seeding = KMeansSeeding::kSampled;
  const KMeansResult result = kmeans(view, options);
  expect_never_increasing(result);
  options.seeding = KMeansSeeding::kPlusPlus;
  EXPECT_NE(result.centroids, kmeans(view, options).centroids);
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
      for (const std::int64_t row : choose_seeds(view, count, seed, KMeansSeeding::kPlusPlus, {})) {
        chosen.emplace(view.row(row).begin(), view.row(row).end());
      }
      EXPECT_EQ(static_cast<std::int64_t>(chosen.size()), count);
    }
    const std::vector<std::int64_t> more =
        choose_seeds(view, distinct + 4, seed, KMeansSeeding::kPlusPlus, {});
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
    const std::vector<std::int64_t> seeds =
        choose_seeds(view, 2, seed, KMeansSeeding::kPlusPlus, {});
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
  KMeansOptions options{.clusters = 2};
  options.initial = {points.data(), 1, 1};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "initial centroids are [1, 1], expected [2, 1]",
                         [&] { (void)kmeans(good, options); }));
  options.initial = {points.data() + 1, 2, 1};
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "initial centroid 1 is not finite",
                         [&] { (void)kmeans(good, options); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "tolerance",
                         [&] { (void)kmeans(good, {.clusters = 1, .tolerance = std::nan("")}); }));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
