#pragma once
// One iteration of k-means.
//
// Idea. Assignment is the search of key_encoding with L = I (nearest_codeword.cuh), which also says
// how far ahead the nearest centroid is. A point whose lead is within the rounding bound goes to a
// list, and the centroids are compared with it in double precision. The distance of each point to
// its centroid is always one in double precision, in the order of the CPU backend.
// The update is a counting sort of the points by cluster, stable so that members stay in the order
// of points: members a chunk of 1024 points are counted, counts become places, and a warp a chunk
// puts its points there in order. A cluster's members are then added one after another. Integer
// atomics count; no floating-point number is ever added in an order that the schedule decides.
//
// Bytes an iteration: nearest_codeword.cuh's; 8 d + 24 a point for distances, twice that of a warp
// in which one may move; 4 d a point and 12 d a centroid for means; 12 a cluster and chunk to sort.
// Limits: N and d C below 2^31.

#include <climits>

#include "a2ats/kmeans_device.h"
#include "a2ats/nearest_codeword.cuh"
#include "a2ats/point_distance.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kAssignThreads = 256;
inline constexpr int kAssignPoints = kAssignThreads / kPointLanes;
inline constexpr int kExactThreads = 256;
inline constexpr int kExactBlocks = 1024;
inline constexpr int kChunkThreads = 256;
inline constexpr int kScanThreads = 1024;
inline constexpr int kMaxHeadDim = 256;

/// What the host reads after an iteration.
struct KMeansSummary {
  double distance_sum;    ///< of all points to their centroids, squared
  double move_sum;        ///< of all centroids' moves, squared
  std::int64_t reseeded;  ///< empty clusters filled so far
};

/// The state of a run; all pointers are device memory.
struct KMeansState {
  DevicePoints points;
  CodewordTable table;         ///< of the centroids
  int clusters;                ///< C
  float* centroids;            ///< [C, d]
  double* means;               ///< [C, d]
  std::int32_t* candidates;    ///< [N] nearest centroid
  std::int32_t* doubtful;      ///< [N] points to search exactly
  unsigned* doubtful_count;    ///< zero before a search
  std::int32_t* labels;        ///< [N]
  double* distances;           ///< [N] to the labelled centroid, squared
  std::int32_t* counts;        ///< [C]
  std::int32_t* first_member;  ///< [C] into order
  std::int32_t* chunk_counts;  ///< [chunks, C], then places within the cluster
  std::int32_t* order;         ///< [N] points by cluster, ascending inside one
  double* moves;               ///< [C] squared move of a centroid
  double* chunk_worst;         ///< [ceil(N / kChunkThreads)] largest distance that may leave
  std::int32_t* chunk_point;   ///< [ceil(N / kChunkThreads)] the lowest point that has it
  std::int64_t* first_bad;     ///< the first row that is not finite
  KMeansSummary* summary;

  [[nodiscard]] __device__ int rows() const { return static_cast<int>(points.rows); }
  [[nodiscard]] __device__ int head_dim() const { return static_cast<int>(points.head_dim); }
  [[nodiscard]] __device__ const float* point(int i) const {
    return points.data + static_cast<std::int64_t>(i) * points.stride;
  }
  [[nodiscard]] __device__ const float* centroid(int c) const {
    return centroids + static_cast<std::int64_t>(c) * head_dim();
  }
};

/// Block-wide maximum of a distance, and the lowest of the indices that have it. `shared` has room
/// for one a warp and may be reused after the next __syncthreads().
struct Worst {
  double distance;
  int point;
};
__device__ inline Worst worse(Worst a, Worst b) {
  return a.distance > b.distance || (a.distance == b.distance && a.point < b.point) ? a : b;
}
template <int BlockThreads>
__device__ inline Worst block_worst(Worst mine, Worst* shared) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    mine = worse(mine, Worst{__shfl_xor_sync(kFullMask, mine.distance, offset),
                             __shfl_xor_sync(kFullMask, mine.point, offset)});
  }
  if (threadIdx.x % kWarpSize == 0) {
    shared[threadIdx.x / kWarpSize] = mine;
  }
  __syncthreads();
  Worst all = shared[0];
  for (int w = 1; w < BlockThreads / kWarpSize; ++w) {
    all = worse(all, shared[w]);
  }
  return all;
}

/// first_bad gets the lowest row with a number that is not finite. grid (ceil(N / kAssignPoints)).
__global__ void __launch_bounds__(kAssignThreads) check_points(const KMeansState state) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / kPointLanes;
  if (i >= state.rows()) {
    return;
  }
  bool bad = false;
  for (int t = static_cast<int>(threadIdx.x) % kPointLanes; t < state.head_dim();
       t += kPointLanes) {
    // Infinities and NaNs have all bits of the exponent set.
    bad = bad || (__float_as_uint(state.point(i)[t]) & 0x7f800000U) == 0x7f800000U;
  }
  if (bad) {
    atomicMin(reinterpret_cast<unsigned long long*>(state.first_bad),
              static_cast<unsigned long long>(i));
  }
}

/// centroids and means = the points of the seeds, grid (C), or of `initial` where seeds is null.
__global__ void __launch_bounds__(kMaxHeadDim)
    place_centroids(const KMeansState state, const std::int32_t* seeds) {
  const auto c = static_cast<int>(blockIdx.x);
  const auto t = static_cast<int>(threadIdx.x);
  const std::int64_t place = static_cast<std::int64_t>(c) * state.head_dim() + t;
  if (seeds != nullptr) {
    state.centroids[place] = state.point(seeds[c])[t];
  }
  state.means[place] = static_cast<double>(state.centroids[place]);
}

/// candidates, and the list of doubtful points. grid (point tiles), block kSearchThreads.
template <int kHeadDim>
__global__ void __launch_bounds__(kSearchThreads<kHeadDim>, 2)
    nearest_centroids_kernel(const KMeansState state, const float* largest_bias) {
  constexpr int kRows = kSearchRows<kHeadDim>;
  auto& shared = *dynamic_shared<SearchShared<kHeadDim>>();
  const int first = static_cast<int>(blockIdx.x) * kRows;
  const int count = min(kRows, state.rows() - first);
  find_nearest<true, kHeadDim>(state.point(first), state.points.stride, count,
                               codebook_of(state.table, 0), shared);
  const int row = static_cast<int>(threadIdx.x);
  if (row >= count) {
    return;
  }
  state.candidates[first + row] = static_cast<std::int32_t>(shared.nearest[row]);
  float squares = 0.0F;
  for (int t = 0; t < kHeadDim; ++t) {
    squares = fmaf(shared.rows[t][row], shared.rows[t][row], squares);
  }
  // key_encoding's bound with |x| |w| for the sum of products; ||w||^2 = 2 b. The last per cent
  // covers the rounding of the bound itself.
  const float bias = *largest_bias;
  const float bound = 2.02F * (kHeadDim + 3) * 0x1p-24F * (bias + sqrtf(squares * 2.0F * bias));
  // A margin that is no number, of distances that overflowed, is in doubt too.
  if (!(shared.margins[row] > bound)) {
    state.doubtful[atomicAdd(state.doubtful_count, 1U)] = first + row;
  }
}

/// Largest bias of the table. One warp.
__global__ void __launch_bounds__(kWarpSize)
    largest_bias_kernel(const KMeansState state, float* largest) {
  float mine = 0.0F;
#pragma unroll 8
  for (int c = static_cast<int>(threadIdx.x); c < state.clusters; c += kWarpSize) {
    mine = fmaxf(mine, state.table.biases[c]);
  }
  mine = lanes_max<kWarpSize / 2>(mine);
  if (threadIdx.x == 0) {
    *largest = mine;
  }
}

/// The nearest centroid of the doubtful points by double precision, the lowest in a tie. Blocks
/// take points in turn, threads centroids in turn. Dynamic shared memory: a point.
__global__ void __launch_bounds__(kExactThreads) search_doubtful(const KMeansState state) {
  __shared__ Worst warps[kExactThreads / kWarpSize];
  auto* point = dynamic_shared<float>();
  const int d = state.head_dim();
  const unsigned count = *state.doubtful_count;
  for (unsigned i = blockIdx.x; i < count; i += gridDim.x) {
    const int row = state.doubtful[i];
    for (int t = static_cast<int>(threadIdx.x); t < d; t += kExactThreads) {
      point[t] = state.point(row)[t];
    }
    __syncthreads();
    // The nearest is the one with the largest negative distance.
    Worst best{-INFINITY, 0};
    for (int c = static_cast<int>(threadIdx.x); c < state.clusters; c += kExactThreads) {
      best = worse(best, Worst{-thread_distance(point, state.centroid(c), d), c});
    }
    best = block_worst<kExactThreads>(best, warps);
    if (threadIdx.x == 0) {
      state.candidates[row] = best.point;
    }
    // The point and the warps' results have been read by all before the next point's barriers.
  }
}

/// Labels and distances: a point leaves its centroid only for one that is strictly nearer. Counts
/// members; counts are zero before. grid (ceil(N / kAssignPoints)).
__global__ void __launch_bounds__(kAssignThreads)
    assign_points(const KMeansState state, bool labelled) {
  const int d = state.head_dim();
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / kPointLanes;
  const int row = min(i, state.rows() - 1);
  const float* point = state.point(row);
  const int candidate = state.candidates[row];
  const bool speaks = threadIdx.x % kPointLanes == 0 && i < state.rows();
  const int before =
      __shfl_sync(kFullMask, speaks && labelled ? state.labels[i] : candidate, 0, kPointLanes);
  int label = candidate;
  double best = point_distance<double>(point, state.centroid(candidate), d);
  // Most points stay where they are nearest. The lanes of a warp compute a distance together.
  if (__any_sync(kFullMask, before != candidate ? 1 : 0) != 0) {
    const double stay = point_distance<double>(point, state.centroid(before), d);
    if (stay <= best) {
      label = before;
      best = stay;
    }
  }
  if (speaks) {
    state.labels[i] = label;
    state.distances[i] = best;
    atomicAdd(&state.counts[label], 1);
  }
}

/// The distance of point i if it may leave its cluster, else 0.
__device__ inline double leaving_distance(const KMeansState& state, int i) {
  return i < state.rows() && state.counts[state.labels[i]] > 1 ? state.distances[i] : 0.0;
}

/// The worst served point of each chunk. grid (ceil(N / kChunkThreads)).
__global__ void __launch_bounds__(kChunkThreads) find_worst_points(const KMeansState state) {
  __shared__ Worst warps[kChunkThreads / kWarpSize];
  const int i = static_cast<int>(blockIdx.x * kChunkThreads + threadIdx.x);
  const Worst worst = block_worst<kChunkThreads>(Worst{leaving_distance(state, i), i}, warps);
  if (threadIdx.x == 0) {
    state.chunk_worst[blockIdx.x] = worst.distance;
    state.chunk_point[blockIdx.x] = worst.point;
  }
}

using WorstOfWarps = Worst[kChunkThreads / kWarpSize];

/// The worst served point of all that may leave; its distance is 0 if there is none. A chunk's
/// entry is an upper bound, since points only lose the right to leave: it is looked at again when
/// it comes first. An entry is read and written by one thread alone.
__device__ inline Worst take_worst(const KMeansState& state, WorstOfWarps (&warps)[2]) {
  const int chunks = (state.rows() + kChunkThreads - 1) / kChunkThreads;
  const auto thread = static_cast<int>(threadIdx.x);
  while (true) {
    Worst mine{0.0, INT_MAX};
    for (int chunk = thread; chunk < chunks; chunk += kChunkThreads) {
      mine = worse(mine, Worst{state.chunk_worst[chunk], state.chunk_point[chunk]});
    }
    const Worst worst = block_worst<kChunkThreads>(mine, warps[0]);
    if (worst.distance == 0.0 || leaving_distance(state, worst.point) > 0.0) {
      return worst;
    }
    const int chunk = worst.point / kChunkThreads;
    const int i = chunk * kChunkThreads + thread;
    // In turns of two arrays, so that none is written before all have read it.
    const Worst again = block_worst<kChunkThreads>(Worst{leaving_distance(state, i), i}, warps[1]);
    if (thread == chunk % kChunkThreads) {
      state.chunk_worst[chunk] = again.distance;
      state.chunk_point[chunk] = again.point;
    }
  }
}

/// Gives each empty cluster, in ascending order, the worst served point that is not alone in its
/// cluster, until such points lie on their centroids. One block.
__global__ void __launch_bounds__(kChunkThreads) fill_empty_clusters(const KMeansState state) {
  __shared__ WorstOfWarps warps[2];
  __shared__ bool empty[2][kChunkThreads];
  const auto thread = static_cast<int>(threadIdx.x);
  int side = 0;
  for (int first = 0; first < state.clusters; first += kChunkThreads) {
    const int mine = first + thread;
    const bool is_empty = mine < state.clusters && state.counts[mine] == 0;
    side = 1 - side;
    empty[side][thread] = is_empty;
    if (__syncthreads_or(is_empty ? 1 : 0) == 0) {
      continue;
    }
    for (int c = first; c < first + kChunkThreads; ++c) {
      if (!empty[side][c - first]) {
        continue;
      }
      const Worst worst = take_worst(state, warps);
      if (worst.distance == 0.0) {
        return;
      }
      const int label = state.labels[worst.point];
      __syncthreads();
      // A count is changed by the thread that looks whether it is 0.
      if (thread == label % kChunkThreads) {
        --state.counts[label];
      }
      if (thread == c - first) {
        state.counts[c] = 1;
      }
      if (thread == 0) {
        state.labels[worst.point] = c;
        state.distances[worst.point] = 0.0;
        ++state.summary->reseeded;
      }
    }
  }
}

/// Members of each cluster in a chunk of kMemberPoints points. grid (chunks); chunk_counts are zero
/// before.
__global__ void __launch_bounds__(kChunkThreads) count_members(const KMeansState state) {
  const int first = static_cast<int>(blockIdx.x * kMemberPoints);
  const int end = min(first + static_cast<int>(kMemberPoints), state.rows());
  std::int32_t* counts =
      state.chunk_counts + static_cast<std::int64_t>(blockIdx.x) * state.clusters;
  for (int i = first + static_cast<int>(threadIdx.x); i < end; i += kChunkThreads) {
    atomicAdd(&counts[state.labels[i]], 1);
  }
}

/// Counts of a cluster's chunks to the members in the chunks before. grid (ceil(C /
/// kChunkThreads)).
__global__ void __launch_bounds__(kChunkThreads) place_chunks(const KMeansState state, int chunks) {
  const int c = static_cast<int>(blockIdx.x * kChunkThreads + threadIdx.x);
  if (c >= state.clusters) {
    return;
  }
  std::int32_t before = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    std::int32_t& place = state.chunk_counts[static_cast<std::int64_t>(chunk) * state.clusters + c];
    const std::int32_t members = place;
    place = before;
    before += members;
  }
}

/// Where each cluster's members begin. One block.
__global__ void __launch_bounds__(kScanThreads) place_clusters(const KMeansState state) {
  __shared__ std::int32_t warps[kScanThreads / kWarpSize];
  std::int32_t before = 0;
  for (int first = 0; first < state.clusters; first += kScanThreads) {
    const int c = first + static_cast<int>(threadIdx.x);
    std::int32_t total = 0;
    const std::int32_t below =
        block_exclusive_sum<kScanThreads>(c < state.clusters ? state.counts[c] : 0, warps, total);
    if (c < state.clusters) {
      state.first_member[c] = before + below;
    }
    before += total;
    __syncthreads();
  }
}

/// Points to their clusters' places, in order. grid (chunks), a warp each.
__global__ void __launch_bounds__(kWarpSize) place_members(const KMeansState state) {
  const int first = static_cast<int>(blockIdx.x * kMemberPoints);
  const int end = min(first + static_cast<int>(kMemberPoints), state.rows());
  std::int32_t* places =
      state.chunk_counts + static_cast<std::int64_t>(blockIdx.x) * state.clusters;
  const unsigned lane = threadIdx.x;
  for (int step = first; step < end; step += kWarpSize) {
    const int i = step + static_cast<int>(lane);
    const int label = i < end ? state.labels[i] : -1;
    const unsigned alike = __match_any_sync(kFullMask, label);
    const int leader = __ffs(static_cast<int>(alike)) - 1;
    std::int32_t place = 0;
    if (static_cast<int>(lane) == leader && label >= 0) {
      // Atomic because another lane may have moved the place on in the step before.
      place = atomicAdd(&places[label], __popc(alike));
    }
    place = __shfl_sync(kFullMask, place, leader);
    if (label >= 0) {
      const int rank = __popc(alike & ((1U << lane) - 1U));
      state.order[state.first_member[label] + place + rank] = i;
    }
  }
}

/// Every centroid with members to their mean; its squared move. grid (C), d threads, dynamic shared
/// memory d doubles.
__global__ void __launch_bounds__(kMaxHeadDim) move_centroids(const KMeansState state) {
  auto* squares = dynamic_shared<double>();
  const auto c = static_cast<int>(blockIdx.x);
  const auto t = static_cast<int>(threadIdx.x);
  const std::int32_t members = state.counts[c];
  if (members == 0) {
    if (t == 0) {
      state.moves[c] = 0.0;
    }
    return;
  }
  const std::int32_t* order = state.order + state.first_member[c];
  double sum = 0.0;
#pragma unroll 8
  for (std::int32_t i = 0; i < members; ++i) {
    sum += static_cast<double>(state.point(order[i])[t]);
  }
  const std::int64_t place = static_cast<std::int64_t>(c) * state.head_dim() + t;
  const double mean = sum / members;
  const auto moved = static_cast<float>(mean);
  const double move = static_cast<double>(moved) - static_cast<double>(state.centroids[place]);
  squares[t] = __dmul_rn(move, move);
  state.means[place] = mean;
  state.centroids[place] = moved;
  __syncthreads();
  if (t == 0) {
    double all = 0.0;
    for (int other = 0; other < state.head_dim(); ++other) {
      all += squares[other];
    }
    state.moves[c] = all;
  }
}

/// Sum over the block in a fixed order, for thread 0. `shared` has room for one a warp.
__device__ inline double block_total(double value, double* shared) {
  value = lanes_reduce<kWarpSize / 2, 1>(value, [](double a, double b) { return a + b; });
  if (threadIdx.x % kWarpSize == 0) {
    shared[threadIdx.x / kWarpSize] = value;
  }
  __syncthreads();
  double total = 0.0;
  if (threadIdx.x == 0) {
    for (int w = 0; w < kScanThreads / kWarpSize; ++w) {
      total += shared[w];
    }
  }
  return total;
}

/// One block.
__global__ void __launch_bounds__(kScanThreads) summarise(const KMeansState state) {
  __shared__ double distance_warps[kScanThreads / kWarpSize];
  __shared__ double move_warps[kScanThreads / kWarpSize];
  double distances = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < state.rows(); i += kScanThreads) {
    distances += state.distances[i];
  }
  double moves = 0.0;
  for (int c = static_cast<int>(threadIdx.x); c < state.clusters; c += kScanThreads) {
    moves += state.moves[c];
  }
  distances = block_total(distances, distance_warps);
  moves = block_total(moves, move_warps);
  if (threadIdx.x == 0) {
    state.summary->distance_sum = distances;
    state.summary->move_sum = moves;
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
