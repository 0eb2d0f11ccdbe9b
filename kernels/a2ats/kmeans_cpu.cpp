#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>

#include "a2ats/centroid_screen.h"
#include "a2ats/kmeans_options.h"
#include "a2ats/kmeans_seeds.h"
#include "a2ats/squared_distance.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kClustersPerBlock = 8;

void check_finite(MatrixView<const float> rows, std::string_view what) {
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    const auto row = rows.row(i);
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
      throw Error(ErrorKind::kBadInput, fmt::format("{} {} is not finite", what, i));
    }
  }
}

void check(MatrixView<const float> points, const KMeansOptions& options) {
  check_kmeans(options, points.rows, points.cols);
  check_finite(points, "calibration key");
  if (options.initial.data != nullptr) {
    check_finite(options.initial, "initial centroid");
  }
}

/// One run of Lloyd's algorithm.
class Lloyd {
 public:
  Lloyd(MatrixView<const float> points, const KMeansOptions& options)
      : m_points(points),
        m_options(options),
        m_clusters(options.clusters),
        m_distances(static_cast<std::size_t>(points.rows), std::numeric_limits<double>::infinity()),
        m_counts(static_cast<std::size_t>(options.clusters)),
        m_order(static_cast<std::size_t>(points.rows)),
        m_first_member(static_cast<std::size_t>(options.clusters) + 1),
        m_moves(static_cast<std::size_t>(options.clusters), 0.0),
        m_summed_labels(static_cast<std::size_t>(points.rows), -1) {
    m_result.centroids = first_centroids();
    m_result.means.assign(m_result.centroids.begin(), m_result.centroids.end());
    m_result.labels.assign(static_cast<std::size_t>(points.rows), -1);
    m_screen.emplace(points, centroids());
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
  [[nodiscard]] MatrixView<const float> centroids() const {
    return {m_result.centroids.data(), m_clusters, m_points.cols};
  }
  [[nodiscard]] std::span<float> centroid(std::int64_t c) {
    return MatrixView<float>(m_result.centroids.data(), m_clusters, m_points.cols).row(c);
  }
  [[nodiscard]] double distance(std::int64_t point, std::int64_t cluster) const {
    return squared_distance<double>(m_points.row(point), centroids().row(cluster));
  }
  void report() const {
    if (m_options.progress) {
      m_options.progress(m_result.iterations);
    }
  }

  [[nodiscard]] std::vector<float> first_centroids() const {
    std::vector<float> rows;
    rows.reserve(static_cast<std::size_t>(m_clusters * m_points.cols));
    const auto add = [&](std::span<const float> row) {
      rows.insert(rows.end(), row.begin(), row.end());
    };
    if (m_options.initial.data != nullptr) {
      for (std::int64_t c = 0; c < m_clusters; ++c) {
        add(m_options.initial.row(c));
      }
      return rows;
    }
    for (const std::int64_t row :
         choose_seeds(m_points, m_clusters, m_options.seed, m_options.seeding, [&] { report(); })) {
      add(m_points.row(row));
    }
    return rows;
  }

  /// Labels, distances, counts and objective for the current centroids.
  void assign() {
    m_screen->place(centroids(), m_moves);
    parallel_blocks(m_points.rows, kScreenRows,
                    [&](std::int64_t first, std::int64_t last) { assign_block(first, last); });
    std::fill(m_counts.begin(), m_counts.end(), 0);
    for (const std::int32_t label : m_result.labels) {
      ++m_counts[static_cast<std::size_t>(label)];
    }
    m_result.objective.push_back(std::accumulate(m_distances.begin(), m_distances.end(), 0.0) /
                                 static_cast<double>(m_points.rows));
    report();
  }

  void assign_block(std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int32_t label = m_result.labels[static_cast<std::size_t>(i)];
      // A centroid that has not moved is as far away as it was.
      if (label >= 0 && m_moves[static_cast<std::size_t>(label)] > 0.0) {
        m_distances[static_cast<std::size_t>(i)] = distance(i, label);
      }
    }
    thread_local std::vector<CentroidScreen::Candidate> candidates;
    candidates.clear();
    const auto count = static_cast<std::size_t>(last - first);
    m_screen->find(first, last, {m_distances.data() + first, count}, candidates);
    std::int32_t labels[kScreenRows];
    std::copy_n(m_result.labels.begin() + first, count, labels);
    for (const auto& [point, cluster] : candidates) {
      std::int32_t& label = m_result.labels[static_cast<std::size_t>(point)];
      if (label == cluster) {
        continue;
      }
      // At equal distance the point stays, and a point that goes takes the lowest index.
      const bool stays = label == labels[point - first] && label >= 0;
      const double found = distance(point, cluster);
      double& best = m_distances[static_cast<std::size_t>(point)];
      if (found < best || (found == best && !stays && cluster < label)) {
        label = cluster;
        best = found;
      }
    }
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
    std::vector<char> changed(static_cast<std::size_t>(m_clusters), 0);
    for (std::int64_t i = 0; i < m_points.rows; ++i) {
      const std::int32_t label = m_result.labels[static_cast<std::size_t>(i)];
      m_order[static_cast<std::size_t>(next[static_cast<std::size_t>(label)]++)] = i;
      std::int32_t& before = m_summed_labels[static_cast<std::size_t>(i)];
      if (before != label) {
        changed[static_cast<std::size_t>(label)] = 1;
        if (before >= 0) {
          changed[static_cast<std::size_t>(before)] = 1;
        }
        before = label;
      }
    }
    m_moves.assign(static_cast<std::size_t>(m_clusters), 0.0);
    // A cluster is summed by one thread in the order of its points, so no partial sums are needed.
    // The same members have the same mean as before.
    parallel_blocks(m_clusters, kClustersPerBlock, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t c = first; c < last; ++c) {
        if (m_counts[static_cast<std::size_t>(c)] > 0 &&
            changed[static_cast<std::size_t>(c)] != 0) {
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
  std::optional<CentroidScreen> m_screen;
  std::vector<double> m_distances;            // [N] to the assigned centroid, squared
  std::vector<std::int64_t> m_counts;         // [C]
  std::vector<std::int64_t> m_order;          // [N] points by cluster, ascending inside one
  std::vector<std::int64_t> m_first_member;   // [C + 1] into m_order
  std::vector<double> m_moves;                // [C] squared move of a centroid
  std::vector<std::int32_t> m_summed_labels;  // [N] at the last update
  KMeansResult m_result;
};

}  // namespace

KMeansResult kmeans(MatrixView<const float> points, const KMeansOptions& options) {
  check(points, options);
  return Lloyd(points, options).run();
}

}  // namespace kvsieve::kernels
