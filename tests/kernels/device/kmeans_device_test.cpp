#include "a2ats/kmeans_device.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::Matrix;
using tests::RandomRows;

enum class PointKind {
  kClusters,  ///< around 400 centers
  kBiased,    ///< the same, far from the origin
  kGrid,      ///< coordinates -1, 0 and 1: many distances are equal
  kLumps,     ///< many points at few places
  kOnePlace
};
constexpr PointKind kPointKinds[] = {PointKind::kClusters, PointKind::kBiased, PointKind::kGrid,
                                     PointKind::kLumps, PointKind::kOnePlace};
constexpr const char* kPointNames[] = {"clusters", "biased", "grid", "lumps", "one place"};

struct KMeansCase {
  std::int64_t points = 200;
  std::int64_t head_dim = 64;
  std::int64_t clusters = 16;
  PointKind kind = PointKind::kClusters;
  KMeansSeeding seeding = KMeansSeeding::kPlusPlus;
  bool given = false;  ///< starts from centroids instead of seeds
  std::int64_t padding = 0;
  std::int64_t max_iterations = 4;

  [[nodiscard]] std::string name() const {
    return fmt::format("N{} d{} C{} {} {}{} +{}", points, head_dim, clusters,
                       kPointNames[static_cast<std::size_t>(kind)],
                       seeding == KMeansSeeding::kSampled ? "sampled" : "k-means++",
                       given ? " given" : "", padding);
  }
};

std::vector<float> make_points(const KMeansCase& item) {
  const std::int64_t n = item.points;
  const std::int64_t d = item.head_dim;
  std::vector<float> rows;
  switch (item.kind) {
    case PointKind::kClusters:
    case PointKind::kBiased:
      rows = tests::Calibration(n, 1, d, 3, 4).keys;
      break;
    case PointKind::kGrid:
      rows = RandomRows(n, d, 5).data;
      for (float& x : rows) {
        x = x < -1.5F ? -1.0F : (x > 1.5F ? 1.0F : 0.0F);
      }
      break;
    case PointKind::kLumps:
    case PointKind::kOnePlace: {
      const std::int64_t places = item.kind == PointKind::kOnePlace ? 1 : 13;
      const RandomRows centers(places, d, 6, 10.0);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto center = centers.view().row(i * i % places);
        rows.insert(rows.end(), center.begin(), center.end());
      }
      break;
    }
  }
  if (item.kind == PointKind::kBiased) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i] += i % static_cast<std::size_t>(d) < 3 ? 300.0F : 0.0F;
    }
  }
  return rows;
}

/// Points in device memory; what lies between rows is NaN.
class PointsOnDevice {
 public:
  PointsOnDevice(const std::vector<float>& rows, std::int64_t d, std::int64_t padding,
                 Stream& stream) {
    const std::int64_t n = static_cast<std::int64_t>(rows.size()) / d;
    std::vector<float> padded(static_cast<std::size_t>(n * (d + padding)),
                              std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t i = 0; i < n; ++i) {
      std::copy_n(rows.begin() + i * d, d, padded.begin() + i * (d + padding));
    }
    m_buffer = DeviceBuffer<float>(std::span<const float>(padded), stream);
    m_points = {m_buffer.data(), n, d, d + padding};
  }
  [[nodiscard]] const DevicePoints& points() const { return m_points; }

 private:
  DeviceBuffer<float> m_buffer;
  DevicePoints m_points;
};

/// Seeds by their definition, distances in double precision.
std::vector<std::int32_t> reference_seeds(MatrixView<const float> points,
                                          const KMeansOptions& options) {
  CounterRandom random(options.seed);
  std::vector<std::int32_t> rows;
  const std::int64_t wanted = options.seeding == KMeansSeeding::kSampled
                                  ? std::min(points.rows, 4 * options.clusters)
                                  : points.rows;
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const auto left = static_cast<double>(wanted) - static_cast<double>(rows.size());
    if (wanted == points.rows || random.uniform() * static_cast<double>(points.rows - i) < left) {
      rows.push_back(static_cast<std::int32_t>(i));
    }
  }
  const Matrix exact = tests::to_matrix(points);
  std::vector<double> distances(rows.size(), std::numeric_limits<double>::infinity());
  std::vector<std::int32_t> seeds;
  double u = random.uniform();
  auto chosen =
      std::min(static_cast<std::size_t>(u * static_cast<double>(rows.size())), rows.size() - 1);
  while (static_cast<std::int64_t>(seeds.size()) < options.clusters) {
    seeds.push_back(rows[chosen]);
    double total = 0.0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      double distance = 0.0;
      for (std::int64_t t = 0; t < points.cols; ++t) {
        const double difference = exact.at(rows[i], t) - exact.at(rows[chosen], t);
        distance += difference * difference;
      }
      distances[i] = std::min(distances[i], distance);
      total += distances[i];
    }
    if (total == 0.0) {
      seeds.resize(static_cast<std::size_t>(options.clusters), seeds.front());
      break;
    }
    u = random.uniform() * total;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (distances[i] > 0.0) {
        chosen = i;
        u -= distances[i];
        if (u < 0.0) {
          break;
        }
      }
    }
  }
  return seeds;
}

std::vector<float> rows_at(MatrixView<const float> points,
                           const std::vector<std::int32_t>& numbers) {
  std::vector<float> rows;
  for (const std::int32_t number : numbers) {
    rows.insert(rows.end(), points.row(number).begin(), points.row(number).end());
  }
  return rows;
}

struct Problem {
  KMeansCase item;
  std::vector<float> rows;
  std::vector<float> initial;
  KMeansOptions options;

  explicit Problem(const KMeansCase& kmeans_case) : item(kmeans_case), rows(make_points(item)) {
    options.clusters = item.clusters;
    options.max_iterations = item.max_iterations;
    options.tolerance = 0.0;
    options.seed = 7;
    options.seeding = item.seeding;
    if (item.given) {
      for (std::int64_t c = 0; c < item.clusters; ++c) {
        const auto row = view().row(c * 7 % item.points);
        initial.insert(initial.end(), row.begin(), row.end());
      }
      options.initial = {initial.data(), item.clusters, item.head_dim};
    }
  }
  [[nodiscard]] MatrixView<const float> view() const {
    return {rows.data(), item.points, item.head_dim};
  }
  /// The CPU backend's result from the same centroids.
  [[nodiscard]] KMeansResult expected() const {
    KMeansOptions from_there = options;
    std::vector<float> seeds = initial;
    if (!item.given) {
      seeds = rows_at(view(), reference_seeds(view(), options));
    }
    from_there.initial = {seeds.data(), item.clusters, item.head_dim};
    return kernels::kmeans(view(), from_there);
  }
  [[nodiscard]] KMeansResult run() const {
    Stream stream;
    const PointsOnDevice device(rows, item.head_dim, item.padding, stream);
    return kmeans(device.points(), options, stream);
  }
};

void expect_same_bits(const KMeansResult& a, const KMeansResult& b) {
  ASSERT_EQ(a.labels, b.labels);
  ASSERT_EQ(a.centroids, b.centroids);
  ASSERT_EQ(a.means, b.means);
  ASSERT_EQ(a.iterations, b.iterations);
  ASSERT_EQ(a.converged, b.converged);
  ASSERT_EQ(a.reseeded, b.reseeded);
  ASSERT_EQ(a.dead_codes, b.dead_codes);
}

double exact_distance(const Matrix& points, std::int64_t i, const Matrix& centroids,
                      std::int64_t c) {
  double sum = 0.0;
  for (std::int64_t t = 0; t < points.cols; ++t) {
    const double difference = points.at(i, t) - centroids.at(c, t);
    sum += difference * difference;
  }
  return sum;
}

/// What holds for any run, by loops in double precision.
void expect_valid(const Problem& problem, const KMeansResult& result) {
  const KMeansCase& item = problem.item;
  ASSERT_EQ(static_cast<std::int64_t>(result.objective.size()), result.iterations + 1);
  for (std::size_t i = 1; i < result.objective.size(); ++i) {
    ASSERT_LE(result.objective[i], result.objective[i - 1] * (1.0 + 1e-6) + 1e-12) << i;
  }
  const Matrix points = tests::to_matrix(problem.view());
  const Matrix centroids =
      tests::to_matrix({result.centroids.data(), item.clusters, item.head_dim});
  double total = 0.0;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(item.clusters), 0);
  Matrix means(item.clusters, item.head_dim);
  for (std::int64_t i = 0; i < item.points; ++i) {
    const std::int64_t label = result.labels[static_cast<std::size_t>(i)];
    const double own = exact_distance(points, i, centroids, label);
    for (std::int64_t c = 0; c < item.clusters; ++c) {
      ASSERT_LE(own, exact_distance(points, i, centroids, c) * (1.0 + 1e-12)) << i << ' ' << c;
    }
    total += own;
    ++counts[static_cast<std::size_t>(label)];
    for (std::int64_t t = 0; t < item.head_dim; ++t) {
      means.at(label, t) += points.at(i, t);
    }
  }
  ASSERT_NEAR(result.objective.back(), total / static_cast<double>(item.points),
              1e-12 * (1.0 + total));
  ASSERT_EQ(result.dead_codes, std::count(counts.begin(), counts.end(), 0));
  for (std::int64_t c = 0; result.converged && c < item.clusters; ++c) {
    const auto members = static_cast<double>(counts[static_cast<std::size_t>(c)]);
    for (std::int64_t t = 0; members > 0.0 && t < item.head_dim; ++t) {
      ASSERT_NEAR(result.means[static_cast<std::size_t>(c * item.head_dim + t)],
                  means.at(c, t) / members, 1e-12 * (1.0 + std::abs(means.at(c, t))));
    }
  }
}

std::vector<KMeansCase> kmeans_cases() {
  // Around tiles of 64 and 128 points, chunks of 256 and 1024.
  const std::int64_t point_counts[] = {1, 2, 63, 65, 127, 129, 257, 1024, 1025};
  const std::int64_t cluster_counts[] = {1, 16, 17, 64, 129, 256, 1000, 4096};
  const std::int64_t paddings[] = {0, 4};
  const std::size_t levels[] = {std::size(point_counts),
                                kDeviceHeadDims.size(),
                                std::size(cluster_counts),
                                std::size(kPointKinds),
                                2,
                                2,
                                std::size(paddings)};
  std::vector<KMeansCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    KMeansCase& item = cases.emplace_back();
    item.points = point_counts[row[0]];
    item.head_dim = kDeviceHeadDims[row[1]];
    item.clusters = cluster_counts[row[2]];
    item.kind = kPointKinds[row[3]];
    item.seeding = row[4] == 1 ? KMeansSeeding::kSampled : KMeansSeeding::kPlusPlus;
    // A draw a seed is what takes the host executor long.
    item.given = row[5] == 1 || item.clusters > 17;
    item.padding = paddings[row[6]];
    item.max_iterations = item.clusters > 300 || item.head_dim > 128 ? 1 : 3;
    const std::int64_t affordable = 2'000'000 / (item.clusters * item.head_dim);
    item.points = std::min(item.points, std::max<std::int64_t>(affordable, 2));
  }
  return cases;
}

TEST(KMeansDevice, RunsAsTheCpuBackendBitForBit) {
  const std::vector<KMeansCase> cases = kmeans_cases();
  EXPECT_LE(cases.size(), 150U);
  for (const KMeansCase& item : cases) {
    SCOPED_TRACE(item.name());
    const Problem problem(item);
    const KMeansResult expected = problem.expected();
    std::vector<KMeansResult> results;
    for_each_order([&] { results.push_back(problem.run()); });
    for (const KMeansResult& result : results) {
      ASSERT_NO_FATAL_FAILURE(expect_same_bits(result, expected));
      ASSERT_EQ(result.objective, results.front().objective);
    }
    for (std::size_t i = 0; i < expected.objective.size(); ++i) {
      ASSERT_NEAR(results.front().objective[i], expected.objective[i],
                  1e-12 * (1.0 + expected.objective[i]));
    }
    ASSERT_NO_FATAL_FAILURE(expect_valid(problem, results.front()));
  }
}

TEST(KMeansDevice, T11_EmptyClustersTakeOverTheWorstServedPoints) {
  // All centroids begin at two places: all but two clusters are empty at first.
  Problem problem({.points = 700, .clusters = 40, .given = true, .max_iterations = 6});
  for (std::int64_t c = 0; c < 40; ++c) {
    std::copy_n(problem.rows.begin() + c % 2 * 64, 64, problem.initial.begin() + c * 64);
  }
  const KMeansResult expected = problem.expected();
  EXPECT_GE(expected.reseeded, 38);
  for_each_order([&] {
    const KMeansResult result = problem.run();
    expect_same_bits(result, expected);
    expect_valid(problem, result);
  });
}

TEST(KMeansDevice, T13_AsManyCentroidsAsPointsLoseNothing) {
  for (const std::int64_t clusters : {60, 61, 100}) {
    const Problem problem({.points = 60, .clusters = clusters, .max_iterations = 10});
    for_each_order([&] {
      const KMeansResult result = problem.run();
      EXPECT_EQ(result.objective.back(), 0.0);
      EXPECT_TRUE(result.converged);
      EXPECT_EQ(result.dead_codes, clusters - 60);
      EXPECT_EQ(std::set<std::int32_t>(result.labels.begin(), result.labels.end()).size(), 60U);
    });
  }
}

TEST(KMeansDevice, T12_SeedsAreDrawnByTheirSquaredDistances) {
  for (const PointKind kind : kPointKinds) {
    for (const KMeansSeeding seeding : {KMeansSeeding::kPlusPlus, KMeansSeeding::kSampled}) {
      for (const std::int64_t clusters : {1, 2, 15}) {
        const Problem problem({.points = 2101,
                               .head_dim = 80,
                               .clusters = clusters,
                               .kind = kind,
                               .seeding = seeding});
        SCOPED_TRACE(problem.item.name());
        const std::vector<std::int32_t> expected = reference_seeds(problem.view(), problem.options);
        for_each_order([&] {
          Stream stream;
          const PointsOnDevice device(problem.rows, 80, 4, stream);
          const DeviceBuffer<std::int32_t> seeds(static_cast<std::size_t>(clusters));
          choose_seeds({device.points(), clusters, problem.options.seed, seeding, seeds.data()},
                       stream, nullptr);
          EXPECT_EQ(seeds.download(stream), expected);
        });
      }
    }
  }
}

TEST(KMeansDevice, ReportsProgressAndEndsWhereItThrows) {
  Problem problem({.points = 100, .clusters = 5, .max_iterations = 3});
  std::vector<std::int64_t> reported;
  problem.options.progress = [&](std::int64_t iteration) { reported.push_back(iteration); };
  const KMeansResult result = problem.run();
  ASSERT_FALSE(reported.empty());
  EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
  EXPECT_EQ(reported.back(), result.iterations);
  problem.options.progress = [](std::int64_t iteration) {
    if (iteration == 1) {
      throw Error(ErrorKind::kInternal, "enough");
    }
  };
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "enough", [&] { (void)problem.run(); }));
}

TEST(KMeansDevice, RefusesWhatTheCpuBackendRefuses) {
  const auto refused = [](const Problem& problem, ErrorKind kind, const char* part) {
    return fails_with(kind, part, [&] { (void)problem.run(); });
  };
  Problem problem({.points = 20});
  problem.rows[5 * 64 + 3] = std::numeric_limits<float>::infinity();
  problem.rows[9 * 64] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(refused(problem, ErrorKind::kBadInput, "calibration key 5 is not finite"));
  Problem options({.points = 20});
  options.options.clusters = 65537;
  EXPECT_TRUE(refused(options, ErrorKind::kUsage, "codewords is 65537, expected 1 to 65536"));
  options.options.clusters = 16;
  options.options.max_iterations = 0;
  EXPECT_TRUE(refused(options, ErrorKind::kUsage, "at least 1 iteration"));
  Problem given({.points = 20, .given = true});
  given.options.clusters = 17;
  EXPECT_TRUE(refused(given, ErrorKind::kUsage, "initial centroids are [16, 64]"));
  given.options.clusters = 16;
  given.initial[3 * 64] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(refused(given, ErrorKind::kBadInput, "initial centroid 3 is not finite"));
  Stream stream;
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "there are no calibration keys", [&] {
    (void)kmeans({nullptr, 0, 64, 64}, {}, stream);
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "head size 72 has no kernel", [&] {
    (void)kmeans({nullptr, 1, 72, 72}, {}, stream);
  }));
}

TEST(KMeansDevice, LaunchesCoverPointsAndClusters) {
  const DevicePoints points{nullptr, 129, 128, 128};
  EXPECT_EQ(nearest_centroids_config(points).grid, (Dim3{2, 1, 1}));
  EXPECT_EQ(nearest_centroids_config({nullptr, 129, 256, 256}).grid, (Dim3{3, 1, 1}));
  EXPECT_EQ(search_doubtful_config(points), (LaunchConfig{{33, 1, 1}, {256, 1, 1}, 512}));
  EXPECT_EQ(search_doubtful_config({nullptr, 100'000, 128, 128}).grid, (Dim3{1024, 1, 1}));
  EXPECT_EQ(assign_points_config(points), (LaunchConfig{{9, 1, 1}, {256, 1, 1}, 0}));
  EXPECT_EQ(move_centroids_config(points, 300), (LaunchConfig{{300, 1, 1}, {128, 1, 1}, 1024}));
  SeedsArgs seeds{points, 30, 0, KMeansSeeding::kSampled, nullptr};
  EXPECT_EQ(seed_candidates(seeds), 120);
  seeds.points.rows = 1025;
  seeds.seeding = KMeansSeeding::kPlusPlus;
  EXPECT_EQ(seed_distances_config(seeds), (LaunchConfig{{2, 1, 1}, {512, 1, 1}, 0}));
}

TEST(KMeansDevice, WorkOfSeedsCountsEveryDraw) {
  // Three draws: 2000 points and a seed's number each, distances lowered twice, a block drawn from.
  static_assert(kmeans_seeds_work(2000, 4, 32).bytes_read ==
                3 * (2000 * 32 + 1) * 4 + 2 * 2000 * 4 + 3 * 1024 * 4);
  static_assert(kmeans_seeds_work(2000, 4, 32).bytes_written == 3 * (2000 + 1) * 4);
  static_assert(kmeans_seeds_work(2000, 4, 32).flops == 3 * 3 * 2000 * 32);
  // One draw lowers nothing, of fewer points than a block has; one seed is given.
  static_assert(kmeans_seeds_work(10, 2, 32).bytes_read == (10 * 32 + 1 + 10) * 4);
  static_assert(kmeans_seeds_work(10, 1, 32).bytes_read == 0);
}

// Few, small and in one order: the thread sanitizer takes about 0.1 s a block, and finds a missing
// barrier in any order.
TEST(KMeansRace, MembersOfTheLastClustersOfMany) {
  Problem problem({.points = 76, .clusters = 1100, .given = true, .max_iterations = 1});
  std::fill_n(problem.initial.begin(), 1024 * 64, 1000.0F);
  std::copy(problem.rows.begin(), problem.rows.end(), problem.initial.begin() + 1024 * 64);
  const KMeansResult result = problem.run();
  expect_same_bits(result, problem.expected());
  EXPECT_EQ(result.dead_codes, 1024);
}

TEST(KMeansRace, EmptyClusters) {
  Problem problem({.points = 30, .clusters = 6, .given = true, .max_iterations = 1});
  for (std::int64_t c = 0; c < 6; ++c) {
    std::copy_n(problem.rows.begin() + c % 2 * 64, 64, problem.initial.begin() + c * 64);
  }
  const KMeansResult result = problem.run();
  expect_same_bits(result, problem.expected());
  EXPECT_EQ(result.reseeded, 4);
}

TEST(KMeansRace, SmallRuns) {
  const KMeansCase small[] = {
      {.points = 70, .clusters = 5, .max_iterations = 2},
      {.points = 20, .clusters = 9, .kind = PointKind::kLumps, .given = true, .max_iterations = 2},
      {.points = 40,
       .head_dim = 80,
       .clusters = 4,
       .kind = PointKind::kGrid,
       .seeding = KMeansSeeding::kSampled,
       .max_iterations = 1}};
  for (const KMeansCase& item : small) {
    SCOPED_TRACE(item.name());
    const Problem problem(item);
    const KMeansResult result = problem.run();
    expect_same_bits(result, problem.expected());
    expect_valid(problem, result);
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
