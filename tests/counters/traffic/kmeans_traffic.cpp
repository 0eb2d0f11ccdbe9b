// Iterations of k-means from given centroids.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>
#include <utility>

#include "a2ats/codeword_table_device.h"
#include "a2ats/kmeans_device.h"
#include "kvsieve/traces/error.h"
#include "traffic/kernel_tiles.h"
#include "traffic/search_reads.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kNumberBytes = sizeof(float);
constexpr std::int64_t kDoubleBytes = sizeof(double);
/// Of a label, a count, a place.
constexpr std::int64_t kIndexBytes = sizeof(std::int32_t);
/// Of all points' distances and of all centroids' moves.
constexpr std::int64_t kSummaryBytes = 2 * kDoubleBytes;

using Rows = std::vector<std::vector<float>>;

Rows rows_of(const device::DevicePoints& points) {
  Rows rows;
  for (std::int64_t i = 0; i < points.rows; ++i) {
    rows.push_back(from_device(points.data + i * points.stride, points.head_dim));
  }
  return rows;
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t t = 0; t < a.size(); ++t) {
    const double difference = static_cast<double>(a[t]) - static_cast<double>(b[t]);
    sum += difference * difference;
  }
  return sum;
}

std::vector<float> mean(const Rows& rows) {
  std::vector<float> result;
  for (std::size_t t = 0; t < rows.front().size(); ++t) {
    double sum = 0.0;
    for (const std::vector<float>& row : rows) {
      sum += static_cast<double>(row[t]);
    }
    result.push_back(static_cast<float>(sum / static_cast<double>(rows.size())));
  }
  return result;
}

/// The nearest centroid of each point. No second one may be so near that fp32, of which
/// key_encoding has the bound, could not tell them apart.
std::vector<std::int64_t> nearest(const Rows& points, const Rows& centroids) {
  const std::vector<float> center = mean(centroids);
  double largest = 0.0;
  for (const std::vector<float>& centroid : centroids) {
    largest = std::max(largest, squared_distance(centroid, center));
  }
  std::vector<std::int64_t> labels;
  for (const std::vector<float>& point : points) {
    std::vector<std::pair<double, std::int64_t>> ranked;
    for (const std::vector<float>& centroid : centroids) {
      ranked.emplace_back(squared_distance(point, centroid) / 2.0,
                          static_cast<std::int64_t>(ranked.size()));
    }
    std::sort(ranked.begin(), ranked.end());
    const double bound = 2.0 * static_cast<double>(center.size() + 3) * 0x1p-24 *
                         (largest / 2.0 + std::sqrt(squared_distance(point, center) * largest));
    // Within one bound points are in doubt, another one is how far a distance may be off.
    EXPECT_GT(ranked[1].first - ranked[0].first, 2.1 * bound) << "point " << labels.size();
    labels.push_back(ranked[0].second);
  }
  return labels;
}

/// Members of each cluster; all have some.
std::vector<Rows> members_of(const Rows& points, const std::vector<std::int64_t>& labels,
                             std::int64_t clusters) {
  std::vector<Rows> members(static_cast<std::size_t>(clusters));
  for (std::size_t i = 0; i < points.size(); ++i) {
    members[static_cast<std::size_t>(labels[i])].push_back(points[i]);
  }
  if (std::any_of(members.begin(), members.end(), std::mem_fn(&Rows::empty))) {
    throw Error(ErrorKind::kInternal, "a cluster is empty");
  }
  return members;
}

/// What the kernels' sizes depend on.
struct KMeansShape {
  device::DevicePoints points;
  std::int64_t clusters = 0;

  [[nodiscard]] std::int64_t point_bytes() const { return points.head_dim * kNumberBytes; }
  [[nodiscard]] std::int64_t all_points_bytes() const { return points.rows * point_bytes(); }
  [[nodiscard]] std::int64_t centroids_bytes() const { return clusters * point_bytes(); }
  [[nodiscard]] std::int64_t index_bytes() const { return points.rows * kIndexBytes; }
};

/// Labels that the lanes of warps have among them, a point a lane.
std::int64_t labels_of_warps(const std::vector<std::int64_t>& labels) {
  const auto count = static_cast<std::int64_t>(labels.size());
  std::int64_t sum = 0;
  for (std::int64_t first = 0; first < count; first += kWarpLanes) {
    sum += distinct({labels.begin() + first, labels.begin() + std::min(first + kWarpLanes, count)});
  }
  return sum;
}

/// Rows of points and of centroids that warps ask for to compute the distances of labels: each
/// warp has some places in turn, of which those without a point repeat the last one's, with its
/// nearest centroid.
/// @param before labels
std::int64_t distance_rows(const std::vector<std::int64_t>& labels,
                           const std::vector<std::int64_t>& before, std::int64_t places) {
  const std::int64_t warp_points = kWarpLanes / kDistanceLanes;
  const auto count = static_cast<std::int64_t>(labels.size());
  std::int64_t rows = 0;
  for (std::int64_t first = 0; first < places; first += warp_points) {
    std::vector<std::int64_t> points;
    std::vector<std::int64_t> nearest;
    std::vector<std::int64_t> older;
    for (std::int64_t place = first; place < first + warp_points; ++place) {
      const auto point = static_cast<std::size_t>(std::min(place, count - 1));
      points.push_back(static_cast<std::int64_t>(point));
      nearest.push_back(labels[point]);
      older.push_back(place < count ? before[point] : labels[point]);
    }
    // Where one of a warp's points may move, those to the centroids of before as well.
    if (older != nearest) {
      rows += distinct(points) + distinct(older);
    }
    rows += distinct(std::move(points)) + distinct(std::move(nearest));
  }
  return rows;
}

/// Beyond points, centroids and labels once: an assignment, and the sums of distances and moves.
/// @param before labels; empty at first
Traffic assignment(const KMeansShape& shape, const std::vector<std::int64_t>& labels,
                   const std::vector<std::int64_t>& before) {
  const std::int64_t n = shape.points.rows;
  const std::int64_t d = shape.points.head_dim;
  const std::int64_t padded = device::padded_codewords(shape.clusters);
  // Centroids for their mean and for the table, with a number of the mean for every one of a
  // centroid; their biases, of which the largest is kept.
  std::int64_t loaded = 3 * shape.centroids_bytes() + shape.clusters * kNumberBytes;
  std::int64_t stored = (d + padded * (d + 1) + 1) * kNumberBytes;
  // A warp with points reads the largest bias.
  loaded += search_reads(n, d, shape.clusters, kNumberBytes) +
            kernels::blocks_for(n, kWarpLanes) * kNumberBytes;
  stored += shape.index_bytes();
  // How many points are in doubt: none.
  loaded += warps_of(device::search_doubtful_config(shape.points)) * kIndexBytes;
  // Each place's candidate, a warp at a time, and the distances to it and to the label before.
  const std::int64_t places =
      warps_of(device::assign_points_config(shape.points)) * kWarpLanes / kDistanceLanes;
  const std::int64_t candidates =
      vectors_asked_for({.rows = places, .row_vectors = kDistanceLanes, .existing = n}) /
      kDistanceLanes;
  const bool is_first = before.empty();
  const std::int64_t rows = distance_rows(labels, is_first ? labels : before, places);
  loaded +=
      candidates * kIndexBytes + rows * shape.point_bytes() + (is_first ? 0 : shape.index_bytes());
  stored += shape.index_bytes() + n * kDoubleBytes;
  // Distances and moves are added up.
  loaded += (n + shape.clusters) * kDoubleBytes;
  stored += kSummaryBytes;
  return {loaded - shape.all_points_bytes() - shape.centroids_bytes() -
              (is_first ? 0 : shape.index_bytes()),
          stored - shape.index_bytes()};
}

/// Beyond centroids once: members sorted by cluster, and their means.
Traffic update(const KMeansShape& shape, const std::vector<std::int64_t>& labels,
               const std::vector<Rows>& members) {
  const std::int64_t n = shape.points.rows;
  const std::int64_t cluster_bytes = shape.clusters * kIndexBytes;
  const std::int64_t warp_labels = labels_of_warps(labels);
  // The worst points: labels, their clusters' counts, and the distances of those that may leave.
  std::int64_t loaded = shape.index_bytes() + warp_labels * kIndexBytes;
  for (const Rows& of_cluster : members) {
    const auto count = static_cast<std::int64_t>(of_cluster.size());
    loaded += count > 1 ? count * kDoubleBytes : 0;
  }
  std::int64_t stored = kernels::blocks_for(n, kWorstPoints) * (kDoubleBytes + kIndexBytes);
  // Counts, to find that no cluster is empty, and to add them up.
  loaded += 2 * cluster_bytes;
  stored += cluster_bytes;
  // Members are counted by atomics, which are not counted; a chunk's counts become places.
  const std::int64_t chunk_bytes = kernels::blocks_for(n, device::kMemberPoints) * cluster_bytes;
  loaded += shape.index_bytes() + chunk_bytes;
  stored += chunk_bytes;
  // Labels, and where their clusters begin, to order the points.
  loaded += shape.index_bytes() + warp_labels * kIndexBytes;
  stored += shape.index_bytes();
  // Every warp of a cluster reads its count, where it begins, and its members' numbers.
  const std::int64_t cluster_warps = kernels::blocks_for(shape.points.head_dim, kWarpLanes);
  loaded += cluster_warps * (2 * cluster_bytes + shape.index_bytes()) + shape.all_points_bytes() +
            shape.centroids_bytes();
  // Means in double precision, and moves.
  stored += shape.clusters * (shape.points.head_dim + 1) * kDoubleBytes;
  return {loaded, stored};
}

/// Of points that are never in doubt and leave no cluster empty.
Traffic kmeans(const std::tuple<device::DevicePoints, kernels::KMeansOptions>& arguments,
               const kernels::Work& work) {
  const auto& [data, options] = arguments;
  const KMeansShape shape{data, options.clusters};
  const Rows points = rows_of(data);
  Rows centroids;
  for (std::int64_t c = 0; c < options.clusters; ++c) {
    const std::span<const float> row = options.initial.row(c);
    centroids.emplace_back(row.begin(), row.end());
  }
  // Points are looked at whether they are finite; centroids are kept in double precision too.
  Traffic all{work.bytes_read + shape.all_points_bytes() + shape.centroids_bytes(),
              work.bytes_written + shape.clusters * data.head_dim * kDoubleBytes};
  const auto add = [&](const Traffic& traffic) {
    all.loaded += traffic.loaded;
    all.stored += traffic.stored;
  };
  std::vector<std::int64_t> labels = nearest(points, centroids);
  add(assignment(shape, labels, {}));
  for (std::int64_t iteration = 0; iteration < options.max_iterations; ++iteration) {
    const std::vector<Rows> members = members_of(points, labels, options.clusters);
    add(update(shape, labels, members));
    std::transform(members.begin(), members.end(), centroids.begin(), mean);
    const std::vector<std::int64_t> before = std::exchange(labels, nearest(points, centroids));
    add(assignment(shape, labels, before));
  }
  return all;
}

constexpr OperationTraffic kTraffic[] = {
    {"kmeans", traffic_of<std::tuple<device::DevicePoints, kernels::KMeansOptions>, kmeans>},
};

}  // namespace

std::span<const OperationTraffic> kmeans_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
