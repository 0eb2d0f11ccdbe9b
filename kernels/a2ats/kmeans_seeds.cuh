#pragma once
// k-means++ seeds.
//
// Idea. Two launches a seed, none of which the host waits for: seed_distances lowers every point's
// squared distance to its nearest seed and adds up the distances of 1024 points; draw_seed finds
// the block and then the point at the share u of the total. The numbers u come from the host.
//
// Layout: seed_distances has 16 lanes a point, as squared_distance.h has 16 partial sums, so that
// distances are the CPU backend's bit for bit. draw_seed is one block.
// Bytes: 4 d + 8 a point and seed, 2 d of the seed from the caches, 4 KiB of distances a draw.

#include "a2ats/kmeans_seeds_device.h"
#include "a2ats/point_distance.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kSeedThreads = 512;
inline constexpr int kDrawThreads = static_cast<int>(kSeedPoints);

struct SeedsTask {
  DevicePoints points;
  const std::int32_t* rows;  ///< [M] the candidates' rows, or null for all
  std::int32_t candidates;   ///< M
  std::int32_t* seeds;       ///< [C] numbers of candidates
  float* distances;          ///< [M]
  double* block_sums;        ///< [ceil(M / kSeedPoints)]

  __device__ const float* point(std::int32_t candidate) const {
    const std::int64_t row = rows == nullptr ? candidate : rows[candidate];
    return points.data + row * points.stride;
  }
};

/// grid (ceil(M / kSeedPoints)). Takes in seed number `number`; the first one's distances replace
/// what was there.
__global__ void __launch_bounds__(kSeedThreads) seed_distances(const SeedsTask task, int number) {
  __shared__ double warps[kSeedThreads / kWarpSize];
  const int d = static_cast<int>(task.points.head_dim);
  const float* seed = task.point(task.seeds[number]);
  const std::int32_t first = static_cast<std::int32_t>(blockIdx.x) * kDrawThreads;
  const int points = min(kDrawThreads, task.candidates - first);
  const int half = static_cast<int>(threadIdx.x) % kWarpSize / kPointLanes;
  double sum = 0.0;
#pragma unroll 1
  for (int pair = static_cast<int>(threadIdx.x) / kPointLanes - half; pair < points;
       pair += kSeedThreads / kPointLanes) {
    // The lanes of a warp stay together: without a second point both halves have the first.
    const std::int32_t candidate = first + min(pair + half, points - 1);
    float distance = point_distance<float>(task.point(candidate), seed, d);
    if (threadIdx.x % kPointLanes == 0 && pair + half < points) {
      if (number > 0) {
        distance = fminf(distance, task.distances[candidate]);
      }
      task.distances[candidate] = distance;
      sum += static_cast<double>(distance);
    }
  }
  sum = lanes_reduce<kWarpSize / 2, 1>(sum, [](double a, double b) { return a + b; });
  if (threadIdx.x % kWarpSize == 0) {
    warps[threadIdx.x / kWarpSize] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double total = 0.0;
    for (const double part : warps) {
      total += part;
    }
    task.block_sums[blockIdx.x] = total;
  }
}

/// One block: seed number `number` is the candidate at share `u` of the cumulated distances, 0 <= u
/// < 1, never one at distance 0; the first seed if all are.
__global__ void __launch_bounds__(kDrawThreads)
    draw_seed(const SeedsTask task, int number, double u) {
  __shared__ double sums[kDrawThreads / kWarpSize];
  __shared__ double target;
  __shared__ double before_block;
  __shared__ int block;
  __shared__ int first_beyond;
  __shared__ int last_positive;
  const int blocks = (task.candidates + kDrawThreads - 1) / kDrawThreads;
  if (threadIdx.x == 0) {
    double total = 0.0;
    for (int b = 0; b < blocks; ++b) {
      total += task.block_sums[b];
    }
    target = u * total;
    before_block = 0.0;
    block = 0;
    while (block + 1 < blocks && before_block + task.block_sums[block] <= target) {
      before_block += task.block_sums[block++];
    }
    first_beyond = kDrawThreads;
    last_positive = -1;
    if (total <= 0.0) {
      task.seeds[number] = task.seeds[0];
      block = -1;
    }
  }
  __syncthreads();
  // Rounding may leave the target beyond the last block with any distance: walk back to it.
  for (int b = block; b >= 0 && last_positive < 0; --b) {
    const int candidate = b * kDrawThreads + static_cast<int>(threadIdx.x);
    const double distance =
        candidate < task.candidates ? static_cast<double>(task.distances[candidate]) : 0.0;
    double total = 0.0;
    const double before = block_exclusive_sum<kDrawThreads>(distance, sums, total);
    if (distance > 0.0) {
      atomicMax(&last_positive, static_cast<int>(threadIdx.x));
      if (b == block && before_block + before + distance > target) {
        atomicMin(&first_beyond, static_cast<int>(threadIdx.x));
      }
    }
    __syncthreads();
    if (threadIdx.x == 0 && last_positive >= 0) {
      task.seeds[number] = b * kDrawThreads + min(first_beyond, last_positive);
    }
  }
}

/// Rows of points from numbers of candidates. grid (ceil(C / kSeedThreads)).
__global__ void __launch_bounds__(kSeedThreads)
    seeds_to_rows(const std::int32_t* rows, std::int32_t* seeds, int clusters) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c < clusters) {
    seeds[c] = rows[seeds[c]];
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
