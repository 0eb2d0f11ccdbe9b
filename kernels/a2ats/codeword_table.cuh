#pragma once
// Codewords to tables of weights and biases (codeword_table_device.h has the formulas).
//
// Idea. Everything is kept with codewords innermost, [d, padded], so that neighbouring threads hold
// neighbouring codewords and all of them meet the same element of L, which the caches broadcast.
// Three kernels: zeta = c L in double precision; the mean a over the codewords of a channel; the
// offsets o = zeta - a with their biases and weights L o.
//
// Layout: whiten_codewords and codeword_weights have a block 32 codewords, a lane a codeword, the 8
// warps take channels in turn. mean_codeword has a block a channel.
// Bytes a block: 32 d codewords in, 32 d doubles out and in again, d^2 / 2 elements of L twice.
// These run once a codebook, and once an iteration of k-means (with L = I).

#include "a2ats/codeword_table_device.h"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kTableWarps = 8;
inline constexpr int kTableThreads = kTableWarps * kWarpSize;
// Codewords of a row in shared memory: one more than lanes, so that columns spread over the banks.
inline constexpr int kTablePitch = kWarpSize + 1;
inline constexpr int kMeanThreads = 128;

struct CodewordTableTask {
  const float* codewords;
  const float* cholesky;
  double* whitened;  ///< [Hkv, d, padded]
  double* mean;      ///< [Hkv, d]
  float* weights;
  float* biases;
  int codeword_count;
  int padded;
  int head_dim;

  /// L of a head, or null.
  __device__ const float* factor(std::int64_t head) const {
    return cholesky == nullptr ? nullptr : cholesky + head * head_dim * head_dim;
  }
};

/// zeta[t, m] for the block's codewords; 0 in the padding. grid (padded / 32, Hkv), dynamic shared
/// memory d * kTablePitch floats.
__global__ void __launch_bounds__(kTableThreads) whiten_codewords(const CodewordTableTask task) {
  auto* tile = dynamic_shared<float>();
  const int d = task.head_dim;
  const std::int64_t head = blockIdx.y;
  const int first = static_cast<int>(blockIdx.x) * kWarpSize;
  const float* codewords = task.codewords + head * task.codeword_count * d;
  for (int i = static_cast<int>(threadIdx.x); i < kWarpSize * d; i += kTableThreads) {
    const int m = first + i / d;
    tile[i % d * kTablePitch + i / d] =
        m < task.codeword_count ? codewords[static_cast<std::int64_t>(m) * d + i % d] : 0.0F;
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const float* factor = task.factor(head);
  double* whitened = task.whitened + head * d * task.padded + first + lane;
  for (int t = static_cast<int>(threadIdx.x) / kWarpSize; t < d; t += kTableWarps) {
    double sum = 0.0;
    if (factor == nullptr) {
      sum = static_cast<double>(tile[t * kTablePitch + lane]);
    } else {
      for (int s = t; s < d; ++s) {
        // Products of fp32 numbers are exact in double precision, fused or not.
        sum += static_cast<double>(tile[s * kTablePitch + lane]) *
               static_cast<double>(factor[s * d + t]);
      }
    }
    whitened[static_cast<std::int64_t>(t) * task.padded] = sum;
  }
}

/// grid (d, Hkv).
__global__ void __launch_bounds__(kMeanThreads) mean_codeword(const CodewordTableTask task) {
  __shared__ double warps[kMeanThreads / kWarpSize];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * task.head_dim + blockIdx.x;
  const double* whitened = task.whitened + row * task.padded;
  double sum = 0.0;
  for (int m = static_cast<int>(threadIdx.x); m < task.codeword_count; m += kMeanThreads) {
    sum += whitened[m];
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
    task.mean[row] = total / task.codeword_count;
  }
}

/// Weights and biases of the block's codewords. grid (padded / 32, Hkv), dynamic shared memory
/// d * kTablePitch doubles.
__global__ void __launch_bounds__(kTableThreads) codeword_weights(const CodewordTableTask task) {
  auto* offsets = dynamic_shared<double>();
  const int d = task.head_dim;
  const std::int64_t head = blockIdx.y;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int m = static_cast<int>(blockIdx.x) * kWarpSize + lane;
  const bool exists = m < task.codeword_count;
  const double* whitened = task.whitened + head * d * task.padded + m;
  const double* mean = task.mean + head * d;
  for (int t = warp; t < d; t += kTableWarps) {
    offsets[t * kTablePitch + lane] =
        exists ? whitened[static_cast<std::int64_t>(t) * task.padded] - mean[t] : 0.0;
  }
  __syncthreads();
  const float* factor = task.factor(head);
  float* weights = task.weights + head * d * task.padded + m;
  for (int s = warp; s < d; s += kTableWarps) {
    double sum = 0.0;
    if (factor == nullptr) {
      sum = offsets[s * kTablePitch + lane];
    } else {
      for (int t = 0; t <= s; ++t) {
        sum += static_cast<double>(factor[s * d + t]) * offsets[t * kTablePitch + lane];
      }
    }
    weights[static_cast<std::int64_t>(s) * task.padded] = static_cast<float>(sum);
  }
  if (warp == 0) {
    double bias = 0.0;
    for (int t = 0; t < d; ++t) {
      const double offset = offsets[t * kTablePitch + lane];
      bias += offset * (offset / 2.0 + mean[t]);
    }
    task.biases[head * task.padded + m] = exists ? static_cast<float>(bias) : INFINITY;
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
