#include "a2ats/kmeans_seeds.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "a2ats/nearest_codeword.h"
#include "a2ats/squared_distance.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kPointsPerBlock = 1024;
constexpr std::int64_t kPointsPerSearch = 128;
constexpr std::int64_t kSampledPerSeed = 4;
constexpr std::int64_t kMaxPending = 256;

/// Points with their squared distance to the nearest of the seeds, all but the last few: those are
/// taken in together, as one product of matrices. Until then distances are upper bounds, and a
/// point that is drawn by them is kept with the probability true / bound, which leaves the
/// distribution as it is.
class Seeding {
 public:
  explicit Seeding(MatrixView<const float> points)
      : m_points(points),
        m_distances(static_cast<std::size_t>(points.rows), std::numeric_limits<float>::infinity()),
        m_block_sums(
            static_cast<std::size_t>((points.rows + kPointsPerBlock - 1) / kPointsPerBlock)) {}

  void add(std::int64_t row) {
    m_seeds.push_back(row);
    m_pending.insert(m_pending.end(), m_points.row(row).begin(), m_points.row(row).end());
    const auto known = static_cast<std::int64_t>(m_seeds.size()) - pending();
    if (pending() >= std::clamp<std::int64_t>(known / 4, 1, kMaxPending)) {
      take_in();
    }
  }

  /// Draws the next seed; -1 once every point coincides with one.
  [[nodiscard]] std::int64_t draw(CounterRandom& random) {
    while (true) {
      const double total = std::accumulate(m_block_sums.begin(), m_block_sums.end(), 0.0);
      if (!(total > 0.0)) {
        return -1;
      }
      const std::int64_t row = at_share(random.uniform() * total);
      float& bound = m_distances[static_cast<std::size_t>(row)];
      float distance = bound;
      const MatrixView<const float> seeds(m_pending.data(), pending(), m_points.cols);
      for (std::int64_t s = 0; s < seeds.rows; ++s) {
        distance = std::min(distance, squared_distance<float>(seeds.row(s), m_points.row(row)));
      }
      // Rounding may have hidden from the search that the point lies on a seed.
      if (distance > 0.0F && is_seed(row)) {
        distance = 0.0F;
      }
      const bool kept = distance >= bound || random.uniform() * static_cast<double>(bound) <
                                                 static_cast<double>(distance);
      if (distance < bound) {
        bound = distance;
        sum_block(row / kPointsPerBlock);
      }
      if (kept) {
        return row;
      }
    }
  }

  [[nodiscard]] std::vector<std::int64_t> take() { return std::move(m_seeds); }

 private:
  [[nodiscard]] std::int64_t pending() const {
    return static_cast<std::int64_t>(m_pending.size()) / m_points.cols;
  }

  [[nodiscard]] bool is_seed(std::int64_t row) const {
    const auto found = m_seeds_at.find(hash(row));
    return found != m_seeds_at.end() &&
           std::any_of(found->second.begin(), found->second.end(), [&](std::int64_t seed) {
             return std::equal(m_points.row(row).begin(), m_points.row(row).end(),
                               m_points.row(seed).begin());
           });
  }
  /// Equal rows have equal hashes; -0 equals 0.
  [[nodiscard]] std::uint64_t hash(std::int64_t row) const {
    std::uint64_t sum = 0;
    for (const float x : m_points.row(row)) {
      sum = CounterRandom(sum ^ std::bit_cast<std::uint32_t>(x + 0.0F)).bits();
    }
    return sum;
  }

  void sum_block(std::int64_t block) {
    const std::int64_t first = block * kPointsPerBlock;
    const std::int64_t last = std::min(first + kPointsPerBlock, m_points.rows);
    m_block_sums[static_cast<std::size_t>(block)] =
        std::accumulate(m_distances.begin() + first, m_distances.begin() + last, 0.0);
  }

  /// Distances to the pending seeds.
  void take_in() {
    const std::int64_t d = m_points.cols;
    m_nearest.pack({m_pending.data(), pending(), d});
    parallel_blocks(m_points.rows, kPointsPerBlock, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t part = first; part < last; part += kPointsPerSearch) {
        std::int32_t nearest[kPointsPerSearch];
        float scratch[kPointsPerSearch];
        const std::int64_t end = std::min(part + kPointsPerSearch, last);
        const auto count = static_cast<std::size_t>(end - part);
        m_nearest.find(m_points.rows_from(part, end - part), {nearest, count}, {scratch, count});
        for (std::int64_t i = part; i < end; ++i) {
          const std::span<const float> seed(m_pending.data() + nearest[i - part] * d,
                                            static_cast<std::size_t>(d));
          float& distance = m_distances[static_cast<std::size_t>(i)];
          distance = std::min(distance, squared_distance<float>(m_points.row(i), seed));
        }
      }
      sum_block(first / kPointsPerBlock);
    });
    const auto all = static_cast<std::int64_t>(m_seeds.size());
    for (std::int64_t s = all - pending(); s < all; ++s) {
      const std::int64_t row = m_seeds[static_cast<std::size_t>(s)];
      m_seeds_at[hash(row)].push_back(row);
    }
    m_pending.clear();
  }

  /// The point at `target` of the cumulated distances, 0 <= target < total; never one at distance
  /// 0.
  [[nodiscard]] std::int64_t at_share(double target) const {
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

  MatrixView<const float> m_points;
  std::vector<std::int64_t> m_seeds;
  std::vector<float> m_pending;  // seeds that distances do not know yet
  std::unordered_map<std::uint64_t, std::vector<std::int64_t>> m_seeds_at;  // by hash, the others
  NearestCodeword m_nearest;                                                // of the pending seeds
  std::vector<float> m_distances;    // [N] squared, to the nearest seed
  std::vector<double> m_block_sums;  // of m_distances
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
  constexpr std::int64_t kSeedsBetweenPauses = 64;
  Seeding seeding(points);
  const auto rows = static_cast<double>(points.rows);
  auto row = std::min(static_cast<std::int64_t>(random.uniform() * rows), points.rows - 1);
  for (std::int64_t seeds = 1; row >= 0; ++seeds) {
    seeding.add(row);
    if (pause && seeds % kSeedsBetweenPauses == 0) {
      pause();
    }
    row = seeds < count ? seeding.draw(random) : -1;
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
