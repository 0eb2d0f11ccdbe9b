#pragma once
// Codewords to tables of weights and biases (codeword_table_device.h has the formulas).
//
// Idea. mean_codeword adds up the codewords; codeword_table_kernel takes the mean off, multiplies
// by L and by L again. A block keeps its 32 codewords in shared memory in between, codewords
// innermost: all lanes meet the same element of L, which the caches broadcast.
//
// Layout: mean_codeword has a block 32 channels, a lane a channel, the 16 warps take codewords in
// turn. codeword_table_kernel has a block 32 codewords, a lane a codeword, the 8 warps take
// channels in turn. Bytes a block: 128 C in; 128 d of codewords, 128 d of the mean and half of L
// twice in, 128 d of weights out. These run once a codebook, and once an iteration of k-means (with
// L = I). Everything but the results is in double precision.

#include "a2ats/codeword_table_device.h"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kTableWarps = 8;
inline constexpr int kTableThreads = kTableWarps * kWarpSize;
// Codewords of a row in shared memory: one more than lanes, so that columns spread over the banks.
inline constexpr int kTablePitch = kWarpSize + 1;
inline constexpr int kMeanWarps = 16;
inline constexpr int kMeanThreads = kMeanWarps * kWarpSize;

struct CodewordTableTask {
  const float* codewords;
  const float* cholesky;
  float* weights;
  float* biases;
  float* centers;
  int codeword_count;
  int padded;
  int head_dim;
};

/// grid (ceil(d / 32), Hkv).
__global__ void __launch_bounds__(kMeanThreads) mean_codeword(const CodewordTableTask task) {
  __shared__ double sums[kMeanWarps][kWarpSize];
  const int d = task.head_dim;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int channel = static_cast<int>(blockIdx.x) * kWarpSize + lane;
  const std::int64_t head = blockIdx.y;
  const float* codewords = task.codewords + head * task.codeword_count * d + channel;
  double sum = 0.0;
  if (channel < d) {
    for (int m = warp; m < task.codeword_count; m += kMeanWarps) {
      sum += static_cast<double>(codewords[static_cast<std::int64_t>(m) * d]);
    }
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && channel < d) {
    double total = 0.0;
    for (int w = 0; w < kMeanWarps; ++w) {
      total += sums[w][lane];
    }
    task.centers[head * d + channel] = static_cast<float>(total / task.codeword_count);
  }
}

/// Shared memory of a block: offsets o [d, kTablePitch] behind c - c~ [d, kTablePitch].
__device__ inline double* table_offsets(int head_dim) {
  return dynamic_shared<double>() + head_dim * kTablePitch;
}

/// c - c~ of the block's codewords, 0 in the padding.
__device__ inline void load_centered_codewords(const CodewordTableTask& task, std::int64_t head,
                                               int first, double* centered) {
  const int d = task.head_dim;
  const float* codewords = task.codewords + head * task.codeword_count * d;
  const float* center = task.centers + head * d;
  for (int i = static_cast<int>(threadIdx.x); i < kWarpSize * d; i += kTableThreads) {
    const int m = first + i / d;
    const int t = i % d;
    centered[t * kTablePitch + i / d] =
        m < task.codeword_count
            ? static_cast<double>(codewords[static_cast<std::int64_t>(m) * d + t]) -
                  static_cast<double>(center[t])
            : 0.0;
  }
}

/// grid (padded / 32, Hkv), dynamic shared memory 2 d kTablePitch doubles.
__global__ void __launch_bounds__(kTableThreads)
    codeword_table_kernel(const CodewordTableTask task) {
  const int d = task.head_dim;
  const std::int64_t head = blockIdx.y;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int first = static_cast<int>(blockIdx.x) * kWarpSize;
  const float* factor = task.cholesky == nullptr ? nullptr : task.cholesky + head * d * d;
  const auto l = [&](int s, int t) { return static_cast<double>(factor[s * d + t]); };
  auto* centered = dynamic_shared<double>();
  double* offsets = table_offsets(d);
  load_centered_codewords(task, head, first, centered);
  __syncthreads();
  for (int t = warp; t < d; t += kTableWarps) {
    double sum = 0.0;
    if (factor == nullptr) {
      sum = centered[t * kTablePitch + lane];
    } else {
      for (int s = t; s < d; ++s) {
        sum += centered[s * kTablePitch + lane] * l(s, t);
      }
    }
    offsets[t * kTablePitch + lane] = sum;
  }
  __syncthreads();
  float* weights = task.weights + head * d * task.padded + first + lane;
  for (int s = warp; s < d; s += kTableWarps) {
    double sum = 0.0;
    if (factor == nullptr) {
      sum = offsets[s * kTablePitch + lane];
    } else {
      for (int t = 0; t <= s; ++t) {
        sum += l(s, t) * offsets[t * kTablePitch + lane];
      }
    }
    weights[static_cast<std::int64_t>(s) * task.padded] = static_cast<float>(sum);
  }
  if (warp == 0) {
    double squares = 0.0;
    for (int t = 0; t < d; ++t) {
      squares += offsets[t * kTablePitch + lane] * offsets[t * kTablePitch + lane];
    }
    task.biases[head * task.padded + first + lane] =
        first + lane < task.codeword_count ? static_cast<float>(squares / 2.0) : INFINITY;
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
