#include "a2ats/kmeans_seeds.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "a2ats/squared_distance.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kPointsPerBlock = 1024;
constexpr std::int64_t kSampledPerSeed = 4;
constexpr std::int64_t kSeedsBetweenPauses = 64;

class Seeding {
 public:
  explicit Seeding(MatrixView<const float> points)
      : m_points(points),
        m_nearest(static_cast<std::size_t>(points.rows), 0),
        m_distances(static_cast<std::size_t>(points.rows), std::numeric_limits<float>::infinity()),
        m_block_sums(
            static_cast<std::size_t>((points.rows + kPointsPerBlock - 1) / kPointsPerBlock)) {}

  void add(std::int64_t row) {
    const auto number = static_cast<std::int32_t>(m_seeds.size());
    m_between.resize(m_seeds.size());
    for (std::size_t s = 0; s < m_seeds.size(); ++s) {
      m_between[s] = squared_distance<float>(m_points.row(m_seeds[s]), m_points.row(row));
    }
    m_seeds.push_back(row);
    parallel_blocks(m_points.rows, kPointsPerBlock, [&](std::int64_t first, std::int64_t last) {
      double sum = 0.0;
      for (std::int64_t i = first; i < last; ++i) {
        update(i, row, number);
        sum += static_cast<double>(m_distances[static_cast<std::size_t>(i)]);
      }
      m_block_sums[static_cast<std::size_t>(first / kPointsPerBlock)] = sum;
    });
  }

  /// Sum of squared distances to the nearest seed; 0 once every point coincides with one.
  [[nodiscard]] double total() const {
    return std::accumulate(m_block_sums.begin(), m_block_sums.end(), 0.0);
  }

  /// The point at share `u` of the cumulated squared distances, 0 <= u < 1; never one at distance
  /// 0.
  [[nodiscard]] std::int64_t draw(double u) const {
    const double target = u * total();
    double before = 0.0;
    std::size_t block = 0;
    while (block + 1 < m_block_sums.size() && before + m_block_sums[block] <= target) {
      before += m_block_sums[block++];
    }
    std::int64_t chosen = -1;
    // Rounding may leave the target beyond the last block with any distance: walk back to it.
    for (auto b = static_cast<std::int64_t>(block); chosen < 0; --b) {
      const std::int64_t first = b * kPointsPerBlock;
      const std::int64_t last = std::min(first + kPointsPerBlock, m_points.rows);
      for (std::int64_t i = first; i < last; ++i) {
        const auto distance = static_cast<double>(m_distances[static_cast<std::size_t>(i)]);
        if (distance > 0.0) {
          chosen = i;
          before += distance;
          if (before > target) {
            break;
          }
        }
      }
    }
    return chosen;
  }

  [[nodiscard]] std::vector<std::int64_t> take() { return std::move(m_seeds); }

 private:
  void update(std::int64_t i, std::int64_t row, std::int32_t number) {
    float& best = m_distances[static_cast<std::size_t>(i)];
    std::int32_t& nearest = m_nearest[static_cast<std::size_t>(i)];
    // Triangle inequality: a new seed twice as far from the point's seed as the point is cannot be
    // nearer. The factor covers the rounding of both distances.
    if (number > 0 && m_between[static_cast<std::size_t>(nearest)] > 4.0001F * best) {
      return;
    }
    const float distance = squared_distance<float>(m_points.row(i), m_points.row(row));
    if (distance < best) {
      best = distance;
      nearest = number;
    }
  }

  MatrixView<const float> m_points;
  std::vector<std::int64_t> m_seeds;
  std::vector<float> m_between;         // [seeds] squared distance of the new seed to the others
  std::vector<std::int32_t> m_nearest;  // [N] seed that is nearest
  std::vector<float> m_distances;       // [N] squared distance to it
  std::vector<double> m_block_sums;     // of m_distances
};

/// `count` of the numbers below `from`, ascending, every choice equally likely.
std::vector<std::int64_t> sample(std::int64_t from, std::int64_t count, CounterRandom& random) {
  std::vector<std::int64_t> chosen;
  chosen.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < from; ++i) {
    const auto wanted = static_cast<double>(count) - static_cast<double>(chosen.size());
    if (random.uniform() * static_cast<double>(from - i) < wanted) {
      chosen.push_back(i);
    }
  }
  return chosen;
}

std::vector<std::int64_t> plus_plus(MatrixView<const float> points, std::int64_t count,
                                    CounterRandom& random, const std::function<void()>& pause) {
  Seeding seeding(points);
  const auto rows = static_cast<double>(points.rows);
  seeding.add(std::min(static_cast<std::int64_t>(random.uniform() * rows), points.rows - 1));
  std::int64_t distinct = 1;
  while (distinct < count && seeding.total() > 0.0) {
    seeding.add(seeding.draw(random.uniform()));
    ++distinct;
    if (pause && distinct % kSeedsBetweenPauses == 0) {
      pause();
    }
  }
  std::vector<std::int64_t> seeds = seeding.take();
  seeds.resize(static_cast<std::size_t>(count), seeds.front());
  return seeds;
}

}  // namespace

std::vector<std::int64_t> choose_seeds(MatrixView<const float> points, std::int64_t count,
                                       std::uint64_t seed, KMeansSeeding seeding,
                                       const std::function<void()>& pause) {
  CounterRandom random(seed);
  if (seeding == KMeansSeeding::kPlusPlus || points.rows <= kSampledPerSeed * count) {
    return plus_plus(points, count, random, pause);
  }
  const std::vector<std::int64_t> rows = sample(points.rows, kSampledPerSeed * count, random);
  std::vector<float> values;
  values.reserve(rows.size() * static_cast<std::size_t>(points.cols));
  for (const std::int64_t row : rows) {
    values.insert(values.end(), points.row(row).begin(), points.row(row).end());
  }
  std::vector<std::int64_t> seeds = plus_plus(
      {values.data(), static_cast<std::int64_t>(rows.size()), points.cols}, count, random, pause);
  for (std::int64_t& s : seeds) {
    s = rows[static_cast<std::size_t>(s)];
  }
  return seeds;
}

}  // namespace kvsieve::kernels
