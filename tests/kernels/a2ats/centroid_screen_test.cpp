#include "a2ats/centroid_screen.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"

namespace kvsieve::kernels::tests {
namespace {

/// Points, centroids that are some of them, and how far centroids move from round to round.
struct Case {
  std::string name;
  std::int64_t d = 0;
  std::int64_t clusters = 0;
  std::vector<float> points;
  float move = 0.0F;

  [[nodiscard]] MatrixView<const float> view() const {
    return {points.data(), static_cast<std::int64_t>(points.size()) / d, d};
  }
};

Case gaussian(std::int64_t n, std::int64_t d, std::int64_t clusters) {
  return {fmt::format("gaussian {} {} {}", n, d, clusters), d, clusters,
          RandomRows(n, d, static_cast<std::uint32_t>(d)).data, 0.3F};
}

/// Axis t has the width 2^(-t / half): the trailing ones are cut off.
Case narrow(std::int64_t n, std::int64_t d, std::int64_t clusters, float half) {
  Case item = gaussian(n, d, clusters);
  for (std::size_t i = 0; i < item.points.size(); ++i) {
    item.points[i] *= std::exp2(-static_cast<float>(static_cast<std::int64_t>(i) % d) / half);
  }
  item.name = fmt::format("narrow {} {} {} {}", n, d, clusters, half);
  item.move = 0.05F;
  return item;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const std::int64_t d : {1, 7, 8, 33, 64, 80, 128, 256}) {
    list.push_back(gaussian(600, d, 100));
    list.push_back(narrow(600, d, 100, static_cast<float>(d) / 16.0F));
  }
  list.push_back(narrow(3000, 64, 500, 4.0F));
  list.push_back(gaussian(3000, 4, 1500));
  list.push_back(gaussian(20, 12, 20));
  list.push_back(gaussian(300, 12, 1));
  list.push_back(gaussian(300, 12, 17));
  const Calibration keys(1500, 10, 64, 3, 4);
  list.push_back({"keys", 64, 300, keys.keys, 0.2F});
  Case far = gaussian(600, 32, 90);
  far.name = "far from the origin";
  for (float& x : far.points) {
    x += 5000.0F;
  }
  list.push_back(far);
  Case outlier = narrow(600, 32, 90, 3.0F);
  outlier.name = "an outlier";
  std::fill_n(outlier.points.begin() + 32 * 40, 32, 1e4F);
  list.push_back(outlier);
  Case twice = gaussian(400, 16, 150);
  twice.name = "every point three times, centroids that part";
  const std::vector<float> once = twice.points;
  twice.points.insert(twice.points.end(), once.begin(), once.end());
  twice.points.insert(twice.points.end(), once.begin(), once.end());
  list.push_back(twice);
  return list;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t t = 0; t < a.size(); ++t) {
    sum += std::pow(static_cast<double>(a[t]) - static_cast<double>(b[t]), 2);
  }
  return sum;
}

struct Rounds {
  std::int64_t candidates = 0;
  std::int64_t missed = 0;
  double last_looked_at = 0.0;
  std::int64_t axes = 0;
};

/// Four rounds of placing and finding, centroids moving in between, some of them; counts the points
/// whose nearest centroid was not among the candidates.
Rounds run(const Case& item, const SimdOps& ops) {
  const MatrixView<const float> points = item.view();
  std::vector<float> rows;
  for (std::int64_t c = 0; c < item.clusters; ++c) {
    const auto row = points.row(c * points.rows / item.clusters);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  const MatrixView<float> centroids(rows.data(), item.clusters, item.d);
  CentroidScreen screen(points, centroids, ops);
  std::vector<double> own(static_cast<std::size_t>(points.rows),
                          std::numeric_limits<double>::infinity());
  std::vector<std::int32_t> labels(own.size(), -1);
  std::vector<double> moves(static_cast<std::size_t>(item.clusters), 0.0);
  Rounds rounds;
  rounds.axes = screen.axes();
  for (std::uint32_t round = 0; round < 4; ++round) {
    screen.place(centroids, moves);
    for (std::int64_t first = 0; first < points.rows; first += kScreenRows) {
      const std::int64_t last = std::min(first + kScreenRows, points.rows);
      for (std::int64_t i = first; i < last; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (labels[at] >= 0) {
          own[at] = distance(points.row(i), centroids.row(labels[at]));
        }
      }
      std::vector<CentroidScreen::Candidate> candidates;
      screen.find(first, last, {own.data() + first, static_cast<std::size_t>(last - first)},
                  candidates);
      rounds.candidates += static_cast<std::int64_t>(candidates.size());
      std::vector<double> found(static_cast<std::size_t>(last - first), HUGE_VAL);
      for (const auto& [point, centroid] : candidates) {
        double& least = found[static_cast<std::size_t>(point - first)];
        least = std::min(least, distance(points.row(point), centroids.row(centroid)));
      }
      for (std::int64_t i = first; i < last; ++i) {
        double least = HUGE_VAL;
        for (std::int64_t c = 0; c < item.clusters; ++c) {
          const double next = distance(points.row(i), centroids.row(c));
          if (next < least) {
            least = next;
            labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(c);
          }
        }
        rounds.missed += found[static_cast<std::size_t>(i - first)] > least ? 1 : 0;
      }
    }
    rounds.last_looked_at = screen.looked_at();
    const RandomRows noise(item.clusters, item.d, round + 50);
    for (std::int64_t c = 0; c < item.clusters; ++c) {
      const std::vector<float> before(centroids.row(c).begin(), centroids.row(c).end());
      // A third stays, one in twenty goes far.
      const float factor = c % 3 == 0 ? 0.0F : c % 20 == 1 ? 10.0F : 1.0F;
      for (std::int64_t t = 0; t < item.d; ++t) {
        centroids.row(c)[static_cast<std::size_t>(t)] +=
            item.move * factor * noise.view().row(c)[static_cast<std::size_t>(t)] /
            std::sqrt(static_cast<float>(item.d));
      }
      moves[static_cast<std::size_t>(c)] = distance(before, centroids.row(c));
    }
  }
  return rounds;
}

TEST(CentroidScreen, TheNearestCentroidIsAlwaysACandidate) {
  const SimdList supported = simd_supported();
  for (const Case& item : cases()) {
    for (int i = 0; i < supported.count; ++i) {
      EXPECT_EQ(run(item, *supported.items[i]).missed, 0)
          << item.name << ' ' << supported.items[i]->name;
    }
  }
}

TEST(CentroidScreen, FewCentroidsAreCandidates) {
  const SimdList supported = simd_supported();
  for (int i = 0; i < supported.count; ++i) {
    const SimdOps& ops = *supported.items[i];
    for (const Case& item : {gaussian(2000, 64, 512), narrow(2000, 64, 512, 4.0F)}) {
      const Rounds rounds = run(item, ops);
      EXPECT_LT(rounds.candidates, 4 * 2000 * 12) << item.name << ' ' << ops.name;
      if (ops.screens_codes) {
        EXPECT_GT(rounds.axes, 0) << item.name;
      } else {
        EXPECT_EQ(rounds.axes, 0) << item.name;
      }
    }
    // Where a few axes carry the lengths, few of them are multiplied and few panels looked at.
    Case still = narrow(2000, 64, 512, 3.0F);
    still.move = 0.002F;
    const Rounds rounds = run(still, ops);
    EXPECT_LE(rounds.axes, 32) << ops.name;
    EXPECT_LT(rounds.last_looked_at, 0.7) << ops.name;
  }
}

TEST(CentroidScreen, CodesThatTellNothingApartAreNotUsed) {
  // Twelve lumps a thousand times as far apart as they are wide.
  const RandomRows places(12, 32, 1);
  const RandomRows noise(1200, 32, 2);
  Case item{"lumps", 32, 400, noise.data, 1e-4F};
  for (std::size_t i = 0; i < item.points.size(); ++i) {
    item.points[i] = places.data[i / 32 % 12 * 32 + i % 32] + 1e-4F * item.points[i];
  }
  const SimdList supported = simd_supported();
  for (int i = 0; i < supported.count; ++i) {
    const Rounds rounds = run(item, *supported.items[i]);
    EXPECT_EQ(rounds.missed, 0);
    EXPECT_EQ(rounds.axes, 0);
    EXPECT_LT(rounds.candidates, 4 * 1200 * 40);
  }
}

TEST(CentroidScreen, EqualCentroidsAreOne) {
  const std::vector<float> points(300 * 4, 2.0F);
  const MatrixView<const float> view(points.data(), 300, 4);
  CentroidScreen screen(view, view);
  screen.place(view, std::vector<double>(300, 0.0));
  std::vector<CentroidScreen::Candidate> candidates;
  screen.find(0, 256, std::vector<double>(256, std::numeric_limits<double>::infinity()),
              candidates);
  ASSERT_EQ(candidates.size(), 256U);
  EXPECT_TRUE(std::all_of(candidates.begin(), candidates.end(),
                          [](const auto& candidate) { return candidate.centroid == 0; }));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
