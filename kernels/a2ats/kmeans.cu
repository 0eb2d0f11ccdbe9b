#include "a2ats/kmeans.cuh"

#include <algorithm>
#include <cmath>

#include "a2ats/kmeans_options.h"
#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "codebook_training";

void check(const DevicePoints& points, const KMeansOptions& options) {
  check_kmeans(options, points.rows, points.head_dim);
  dispatch_head_dim(kOperation, points.head_dim, [&]<int kHeadDim> {});
  require_contract(
      points.rows <= INT_MAX && points.stride >= points.head_dim && points.stride % 4 == 0,
      kOperation, "points are at most 2^31 - 1 rows of a multiple of 4 numbers");
}

/// The buffers of a run, in one allocation.
struct RunLayout {
  WorkspaceLayout layout;
  KMeansState state{};
  CodewordTableArgs table;
  float* largest_bias;
  std::int32_t* seeds;
  std::int64_t chunks;

  RunLayout(const DevicePoints& points, std::int64_t clusters, void* workspace)
      : layout(workspace), chunks(blocks_for(points.rows, kMemberPoints)) {
    const std::int64_t d = points.head_dim;
    const std::int64_t padded = padded_codewords(clusters);
    const std::int64_t worst = blocks_for(points.rows, kChunkThreads);
    state.points = points;
    state.clusters = static_cast<int>(clusters);
    state.centroids = layout.take<float>(clusters * d);
    state.means = layout.take<double>(clusters * d);
    state.candidates = layout.take<std::int32_t>(points.rows);
    state.doubtful = layout.take<std::int32_t>(points.rows);
    state.doubtful_count = layout.take<unsigned>(1);
    state.labels = layout.take<std::int32_t>(points.rows);
    state.distances = layout.take<double>(points.rows);
    state.counts = layout.take<std::int32_t>(clusters);
    state.first_member = layout.take<std::int32_t>(clusters);
    state.chunk_counts = layout.take<std::int32_t>(chunks * clusters);
    state.order = layout.take<std::int32_t>(points.rows);
    state.moves = layout.take<double>(clusters);
    state.chunk_worst = layout.take<double>(worst);
    state.chunk_point = layout.take<std::int32_t>(worst);
    state.first_bad = layout.take<std::int64_t>(1);
    state.summary = layout.take<KMeansSummary>(1);
    largest_bias = layout.take<float>(1);
    seeds = layout.take<std::int32_t>(clusters);
    table.codewords = state.centroids;
    table.kv_heads = 1;
    table.codeword_count = clusters;
    table.head_dim = d;
    table.weights = layout.take<float>(d * padded);
    table.biases = layout.take<float>(padded);
    table.centers = layout.take<float>(d);
    state.table = table.table();
  }
};

/// One run of Lloyd's algorithm.
class Lloyd {
 public:
  Lloyd(const DevicePoints& points, const KMeansOptions& options, Stream& stream)
      : m_options(options),
        m_stream(stream),
        m_memory(RunLayout(points, options.clusters, nullptr).layout.bytes()),
        m_run(points, options.clusters, m_memory.data()),
        m_state(m_run.state) {
    require_finite();
    place_first_centroids();
    fill_device(m_state.moves, 0, bytes_of<double>(m_options.clusters), m_stream);
    fill_device(m_state.summary, 0, sizeof(KMeansSummary), m_stream);
  }

  KMeansResult run() {
    assign(/*labelled=*/false);
    while (!m_result.converged && m_result.iterations < m_options.max_iterations) {
      update();
      ++m_result.iterations;
      assign(/*labelled=*/true);
    }
    download();
    return std::move(m_result);
  }

 private:
  template <class T>
  static std::size_t bytes_of(std::int64_t elements) {
    return static_cast<std::size_t>(elements) * sizeof(T);
  }

  void report() const {
    if (m_options.progress) {
      m_options.progress(m_result.iterations);
    }
  }

  void require_finite() {
    fill_device(m_state.first_bad, 0xff, sizeof(std::int64_t), m_stream);
    launch<check_points>(assign_points_config(m_state.points), m_stream, m_state);
    std::int64_t bad = -1;
    copy_to_host(&bad, m_state.first_bad, sizeof(bad), m_stream);
    m_stream.synchronize();
    if (bad >= 0) {
      throw Error(ErrorKind::kBadInput, fmt::format("calibration key {} is not finite", bad));
    }
  }

  void place_first_centroids() {
    const MatrixView<const float>& initial = m_options.initial;
    const std::int32_t* seeds = nullptr;
    if (initial.data != nullptr) {
      for (std::int64_t c = 0; c < initial.rows; ++c) {
        const std::span<const float> row = initial.row(c);
        if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
          throw Error(ErrorKind::kBadInput, fmt::format("initial centroid {} is not finite", c));
        }
        copy_to_device(m_state.centroids + c * initial.cols, row.data(), row.size_bytes(),
                       m_stream);
      }
    } else {
      choose_seeds(
          {m_state.points, m_options.clusters, m_options.seed, m_options.seeding, m_run.seeds},
          m_stream, [&] { report(); });
      seeds = m_run.seeds;
    }
    const LaunchConfig config = move_centroids_config(m_state.points, m_options.clusters);
    launch<place_centroids>(config, m_stream, m_state, seeds);
  }

  /// Labels, distances, counts and objective for the current centroids; whether they have settled.
  void assign(bool labelled) {
    codeword_table(m_run.table, m_stream);
    launch<largest_bias_kernel>(LaunchConfig{{1}, {kWarpSize}}, m_stream, m_state,
                                m_run.largest_bias);
    fill_device(m_state.doubtful_count, 0, sizeof(unsigned), m_stream);
    dispatch_head_dim(kOperation, m_state.points.head_dim, [&]<int kHeadDim> {
      launch<nearest_centroids_kernel<kHeadDim>>(nearest_centroids_config(m_state.points), m_stream,
                                                 m_state, m_run.largest_bias);
    });
    launch<search_doubtful>(search_doubtful_config(m_state.points), m_stream, m_state);
    fill_device(m_state.counts, 0, bytes_of<std::int32_t>(m_options.clusters), m_stream);
    launch<assign_points>(assign_points_config(m_state.points), m_stream, m_state, labelled);
    launch<summarise>(LaunchConfig{{1}, {kScanThreads}}, m_stream, m_state);
    KMeansSummary summary{};
    copy_to_host(&summary, m_state.summary, sizeof(summary), m_stream);
    m_stream.synchronize();
    m_result.objective.push_back(summary.distance_sum / static_cast<double>(m_state.points.rows));
    m_result.converged = labelled && std::sqrt(summary.move_sum) <= m_options.tolerance;
    m_result.reseeded = summary.reseeded;
    report();
  }

  /// Fills empty clusters and moves every centroid with members to their mean.
  void update() {
    const LaunchConfig points_config{{blocks_for(m_state.points.rows, kChunkThreads)},
                                     {kChunkThreads}};
    launch<find_worst_points>(points_config, m_stream, m_state);
    launch<fill_empty_clusters>(LaunchConfig{{1}, {kChunkThreads}}, m_stream, m_state);
    const auto chunks = static_cast<unsigned>(m_run.chunks);
    fill_device(m_state.chunk_counts, 0, bytes_of<std::int32_t>(m_run.chunks * m_options.clusters),
                m_stream);
    launch<count_members>(LaunchConfig{{chunks}, {kChunkThreads}}, m_stream, m_state);
    launch<place_chunks>(
        LaunchConfig{{blocks_for(m_options.clusters, kChunkThreads)}, {kChunkThreads}}, m_stream,
        m_state, static_cast<int>(chunks));
    launch<place_clusters>(LaunchConfig{{1}, {kScanThreads}}, m_stream, m_state);
    launch<place_members>(LaunchConfig{{chunks}, {kWarpSize}}, m_stream, m_state);
    launch<move_centroids>(move_centroids_config(m_state.points, m_options.clusters), m_stream,
                           m_state);
  }

  void download() {
    const std::int64_t numbers = m_options.clusters * m_state.points.head_dim;
    m_result.centroids.resize(static_cast<std::size_t>(numbers));
    m_result.means.resize(static_cast<std::size_t>(numbers));
    m_result.labels.resize(static_cast<std::size_t>(m_state.points.rows));
    std::vector<std::int32_t> counts(static_cast<std::size_t>(m_options.clusters));
    copy_to_host(m_result.centroids.data(), m_state.centroids, bytes_of<float>(numbers), m_stream);
    copy_to_host(m_result.means.data(), m_state.means, bytes_of<double>(numbers), m_stream);
    copy_to_host(m_result.labels.data(), m_state.labels,
                 bytes_of<std::int32_t>(m_state.points.rows), m_stream);
    copy_to_host(counts.data(), m_state.counts, bytes_of<std::int32_t>(m_options.clusters),
                 m_stream);
    m_stream.synchronize();
    m_result.dead_codes = std::count(counts.begin(), counts.end(), 0);
  }

  const KMeansOptions& m_options;
  Stream& m_stream;
  DeviceBuffer<std::byte> m_memory;
  RunLayout m_run;
  KMeansState m_state;
  KMeansResult m_result;
};

}  // namespace

LaunchConfig nearest_centroids_config(const DevicePoints& points) {
  LaunchConfig config;
  dispatch_head_dim(kOperation, points.head_dim, [&]<int kHeadDim> {
    config.grid = {blocks_for(points.rows, kSearchRows<kHeadDim>)};
    config.block = {static_cast<unsigned>(kSearchThreads<kHeadDim>)};
    config.shared_bytes = sizeof(SearchShared<kHeadDim>);
  });
  return config;
}

LaunchConfig search_doubtful_config(const DevicePoints& points) {
  return {{std::min<unsigned>(blocks_for(points.rows, 4), kExactBlocks)},
          {kExactThreads},
          static_cast<std::size_t>(points.head_dim) * sizeof(float)};
}

LaunchConfig assign_points_config(const DevicePoints& points) {
  return {{blocks_for(points.rows, kAssignPoints)}, {kAssignThreads}};
}

LaunchConfig move_centroids_config(const DevicePoints& points, std::int64_t clusters) {
  return {{static_cast<unsigned>(clusters)},
          {static_cast<unsigned>(points.head_dim)},
          static_cast<std::size_t>(points.head_dim) * sizeof(double)};
}

KMeansResult kmeans(const DevicePoints& points, const KMeansOptions& options, Stream& stream) {
  check(points, options);
  const OperationRange range(kOperation);
  return Lloyd(points, options, stream).run();
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
