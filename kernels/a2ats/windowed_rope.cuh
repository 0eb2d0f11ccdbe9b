#pragma once
// Windowed RoPE: rotating query rows by one phase, and choosing each score's branch.
//
// The idea: the phase of the constant distance is the same for all rows, so it is given as a table
// of cos and sin that stays in the caches. The class of a token, near or far, is computed from the
// query's position in every launch; nothing of it is stored.
//
// Layout: rotate_rows_kernel has a thread a pair and row, and one for each dimension behind the
// rotated ones. windowed_scores_kernel has a thread a column of a row, kWindowedThreads columns a
// block; neighbours in a warp read neighbouring scores.
// Bytes: a rotated row is read and written once, 8 a dimension, and 8 a pair of the table. Of a
// score, 4 are read, from the branch that counts, and 4 written, both only where they move.
// Products are rounded before they are added, as on a CPU without fused multiply-add, so that both
// backends give the same bits.

#include "exec/device/device.cuh"
#include "kvsieve/kernels/windowed_rope.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kRotateThreads = 256;
inline constexpr int kWindowedThreads = 256;

struct RotateProblem {
  const float* rows;
  std::int64_t row_count;
  const float* cos;
  const float* sin;
  int head_dim;
  int pairs;         ///< rope_dim / 2
  bool interleaved;  ///< pair t is 2 t and 2 t + 1; else t and t + pairs
  float* out;
};

/// Threads of a row: its pairs, then the dimensions that pass through.
[[nodiscard]] constexpr std::int64_t rotate_items(std::int64_t head_dim, std::int64_t pairs) {
  return head_dim - pairs;
}

__global__ void __launch_bounds__(kRotateThreads) rotate_rows_kernel(RotateProblem problem) {
  const std::int64_t items = rotate_items(problem.head_dim, problem.pairs);
  const std::int64_t thread = std::int64_t{blockIdx.x} * kRotateThreads + threadIdx.x;
  const std::int64_t row = thread / items;
  const int t = static_cast<int>(thread % items);
  if (row >= problem.row_count) {
    return;
  }
  const float* from = problem.rows + row * problem.head_dim;
  float* to = problem.out + row * problem.head_dim;
  if (t >= problem.pairs) {
    to[problem.pairs + t] = from[problem.pairs + t];
    return;
  }
  const int first = problem.interleaved ? 2 * t : t;
  const int second = problem.interleaved ? 2 * t + 1 : t + problem.pairs;
  const float a = from[first];
  const float b = from[second];
  const float cos = __ldg(problem.cos + t);
  const float sin = __ldg(problem.sin + t);
  to[first] = __fsub_rn(__fmul_rn(a, cos), __fmul_rn(b, sin));
  to[second] = __fadd_rn(__fmul_rn(a, sin), __fmul_rn(b, cos));
}

struct WindowedProblem {
  const float* near;
  const float* far;
  const std::int32_t* positions;
  std::int64_t tokens;
  std::int64_t stride;
  std::int64_t window;
  unsigned column_blocks;  ///< a row
  float* out;
};

__global__ void __launch_bounds__(kWindowedThreads)
    windowed_scores_kernel(WindowedProblem problem) {
  const std::int64_t row = blockIdx.x / problem.column_blocks;
  const std::int64_t j =
      std::int64_t{blockIdx.x % problem.column_blocks} * kWindowedThreads + threadIdx.x;
  const std::int64_t i = __ldg(problem.positions + row);
  if (j > i || j >= problem.tokens) {
    return;
  }
  const float* from = is_far(i, j, problem.window) ? problem.far : problem.near;
  if (from != problem.out) {
    problem.out[row * problem.stride + j] = from[row * problem.stride + j];
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
