#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "a2ats/kmeans_seeds.h"
#include "a2ats/nearest_codeword.h"
#include "a2ats/squared_distance.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kPointsPerBlock = 128;
constexpr std::int64_t kClustersPerBlock = 8;
constexpr std::int64_t kMaxClusters = 65536;  // codes are 16 bits wide

void check(MatrixView<const float> points, const KMeansOptions& options) {
  if (options.clusters < 1 || options.clusters > kMaxClusters) {
    throw Error(ErrorKind::kUsage,
                fmt::format("codewords is {}, expected 1 to {}", options.clusters, kMaxClusters));
  }
  if (options.max_iterations < 1 || !(options.tolerance >= 0.0)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("codebook training wants at least 1 iteration and a tolerance of 0 or "
                            "more, not {} and {}",
                            options.max_iterations, options.tolerance));
  }
  if (points.rows < 1) {
    throw Error(ErrorKind::kBadInput, "there are no calibration keys");
  }
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const auto row = points.row(i);
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
      throw Error(ErrorKind::kBadInput, fmt::format("calibration key {} is not finite", i));
    }
  }
}

/// One run of Lloyd's algorithm.
class Lloyd {
 public:
  Lloyd(MatrixView<const float> points, const KMeansOptions& options)
      : m_points(points),
        m_options(options),
        m_clusters(options.clusters),
        m_distances(static_cast<std::size_t>(points.rows)),
        m_counts(static_cast<std::size_t>(options.clusters)),
        m_order(static_cast<std::size_t>(points.rows)),
        m_first_member(static_cast<std::size_t>(options.clusters) + 1) {
    const std::vector<std::int64_t> seeds = choose_seeds(points, options.clusters, options.seed);
    const auto d = static_cast<std::size_t>(points.cols);
    m_result.centroids.resize(static_cast<std::size_t>(m_clusters) * d);
    for (std::int64_t c = 0; c < m_clusters; ++c) {
      const auto seed = points.row(seeds[static_cast<std::size_t>(c)]);
      std::copy(seed.begin(), seed.end(), centroid(c).begin());
    }
    m_result.means.assign(m_result.centroids.begin(), m_result.centroids.end());
    m_result.labels.assign(static_cast<std::size_t>(points.rows), -1);
  }

  KMeansResult run() {
    assign();
    while (!m_result.converged && m_result.iterations < m_options.max_iterations) {
      fill_empty_clusters();
      m_result.converged = update() <= m_options.tolerance;
      ++m_result.iterations;
      assign();
    }
    m_result.dead_codes = std::count(m_counts.begin(), m_counts.end(), 0);
    return std::move(m_result);
  }

 private:
  [[nodiscard]] std::span<float> centroid(std::int64_t c) {
    return MatrixView<float>(m_result.centroids.data(), m_clusters, m_points.cols).row(c);
  }
  [[nodiscard]] double distance(std::int64_t point, std::int64_t cluster) {
    return squared_distance<double>(m_points.row(point), centroid(cluster));
  }

  /// Labels, distances, counts and objective for the current centroids.
  void assign() {
    m_nearest.pack({m_result.centroids.data(), m_clusters, m_points.cols});
    parallel_blocks(m_points.rows, kPointsPerBlock, [&](std::int64_t first, std::int64_t last) {
      std::int32_t nearest[kPointsPerBlock];
      float scratch[kPointsPerBlock];
      const auto count = static_cast<std::size_t>(last - first);
      m_nearest.find(m_points.rows_from(first, last - first), {nearest, count}, {scratch, count});
      for (std::int64_t i = first; i < last; ++i) {
        assign_point(i, nearest[i - first]);
      }
    });
    std::fill(m_counts.begin(), m_counts.end(), 0);
    for (const std::int32_t label : m_result.labels) {
      ++m_counts[static_cast<std::size_t>(label)];
    }
    m_result.objective.push_back(std::accumulate(m_distances.begin(), m_distances.end(), 0.0) /
                                 static_cast<double>(m_points.rows));
  }

  /// fp32 picks the candidate, double precision decides: without that, two centroids at nearly the
  /// same distance could swap points for ever and the objective could rise by a rounding error.
  void assign_point(std::int64_t i, std::int32_t candidate) {
    std::int32_t& label = m_result.labels[static_cast<std::size_t>(i)];
    double& best = m_distances[static_cast<std::size_t>(i)];
    const double found = distance(i, candidate);
    if (label >= 0 && label != candidate) {
      best = distance(i, label);
      if (best <= found) {
        return;
      }
    }
    label = candidate;
    best = found;
  }

  /// Gives each empty cluster the worst served point that is not alone in its cluster.
  void fill_empty_clusters() {
    if (std::find(m_counts.begin(), m_counts.end(), 0) == m_counts.end()) {
      return;
    }
    std::vector<std::int64_t> worst(static_cast<std::size_t>(m_points.rows));
    std::iota(worst.begin(), worst.end(), 0);
    std::sort(worst.begin(), worst.end(), [&](std::int64_t a, std::int64_t b) {
      const double of_a = m_distances[static_cast<std::size_t>(a)];
      const double of_b = m_distances[static_cast<std::size_t>(b)];
      return of_a != of_b ? of_a > of_b : a < b;
    });
    auto next = worst.begin();
    for (std::int32_t c = 0; c < m_clusters; ++c) {
      if (m_counts[static_cast<std::size_t>(c)] > 0) {
        continue;
      }
      while (next != worst.end() && is_alone(*next)) {
        ++next;
      }
      // Every point that could move lies on its centroid: more centroids would not help.
      if (next == worst.end() || m_distances[static_cast<std::size_t>(*next)] == 0.0) {
        return;
      }
      std::int32_t& label = m_result.labels[static_cast<std::size_t>(*next)];
      --m_counts[static_cast<std::size_t>(label)];
      label = c;
      m_counts[static_cast<std::size_t>(c)] = 1;
      m_distances[static_cast<std::size_t>(*next)] = 0.0;
      ++m_result.reseeded;
      ++next;
    }
  }
  [[nodiscard]] bool is_alone(std::int64_t point) const {
    const std::int32_t label = m_result.labels[static_cast<std::size_t>(point)];
    return m_counts[static_cast<std::size_t>(label)] == 1;
  }

  /// Moves every centroid with members to their mean; returns the Frobenius norm of the move.
  double update() {
    std::inclusive_scan(m_counts.begin(), m_counts.end(), m_first_member.begin() + 1);
    std::vector<std::int64_t> next(m_first_member.begin(), m_first_member.end() - 1);
    for (std::int64_t i = 0; i < m_points.rows; ++i) {
      const auto label = static_cast<std::size_t>(m_result.labels[static_cast<std::size_t>(i)]);
      m_order[static_cast<std::size_t>(next[label]++)] = i;
    }
    m_moves.assign(static_cast<std::size_t>(m_clusters), 0.0);
    // A cluster is summed by one thread in the order of its points, so no partial sums are needed.
    parallel_blocks(m_clusters, kClustersPerBlock, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t c = first; c < last; ++c) {
        if (m_counts[static_cast<std::size_t>(c)] > 0) {
          move_centroid(c);
        }
      }
    });
    return std::sqrt(std::accumulate(m_moves.begin(), m_moves.end(), 0.0));
  }

  void move_centroid(std::int64_t c) {
    const auto cluster = static_cast<std::size_t>(c);
    const std::span<double> mean =
        MatrixView<double>(m_result.means.data(), m_clusters, m_points.cols).row(c);
    std::fill(mean.begin(), mean.end(), 0.0);
    for (std::int64_t i = m_first_member[cluster]; i < m_first_member[cluster + 1]; ++i) {
      const std::span<const float> point = m_points.row(m_order[static_cast<std::size_t>(i)]);
      for (std::size_t t = 0; t < mean.size(); ++t) {
        mean[t] += static_cast<double>(point[t]);
      }
    }
    const std::span<float> rounded = centroid(c);
    const auto members = static_cast<double>(m_counts[cluster]);
    for (std::size_t t = 0; t < mean.size(); ++t) {
      mean[t] /= members;
      const auto old = static_cast<double>(rounded[t]);
      rounded[t] = static_cast<float>(mean[t]);
      const double move = static_cast<double>(rounded[t]) - old;
      m_moves[cluster] += move * move;
    }
  }

  MatrixView<const float> m_points;
  const KMeansOptions& m_options;
  std::int64_t m_clusters;
  NearestCodeword m_nearest;
  std::vector<double> m_distances;           // [N] to the assigned centroid, squared
  std::vector<std::int64_t> m_counts;        // [C]
  std::vector<std::int64_t> m_order;         // [N] points by cluster, ascending inside one
  std::vector<std::int64_t> m_first_member;  // [C + 1] into m_order
  std::vector<double> m_moves;               // [C] squared move of a centroid
  KMeansResult m_result;
};

}  // namespace

KMeansResult kmeans(MatrixView<const float> points, const KMeansOptions& options) {
  check(points, options);
  return Lloyd(points, options).run();
}

}  // namespace kvsieve::kernels
