#pragma once
// Sums of outer products of query rows.
//
// Idea. H = Q^T Q is symmetric, so only tiles [64, 64] on and below the diagonal are computed. The
// rows of a KV head's group are cut into up to 64 shares; a block adds up one tile over one share
// and leaves the sum in the workspace. A second kernel adds the shares in ascending order and
// writes both halves of H: no atomics. Products of fp32 numbers are exact in double precision, so
// sums lose nothing to cancellation; 16-bit and fp32 queries are converted once, on the way to
// shared memory.
//
// Layout: 256 threads of 4 x 4 sums; columns 2c, 2c + 1 and 32 further on, which spreads a warp's
// loads over the banks. 16 rows at a time in two buffers, one barrier a step.
// Bytes a block: 2 * 64 columns of its rows for 64 * 64 FMAs a row, 32 KiB of sums written once.

#include "a2ats/query_moment_device.h"
#include "exec/device/load4.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kMomentTile = 64;
inline constexpr int kMomentThreads = 256;
inline constexpr int kMomentRows = 16;
inline constexpr int kMomentShares = 64;
inline constexpr int kMomentTileSize = kMomentTile * kMomentTile;

static_assert(kMomentRows * kMomentTile == 4 * kMomentThreads, "a thread fetches four columns");

template <class T>
struct QueryMomentTask {
  const T* queries;
  std::int64_t head_stride;
  std::int64_t row_stride;
  std::int64_t rows;
  double* shares;  ///< [Hkv, shares, tiles, kMomentTile, kMomentTile]
  int group;
  int head_dim;
};

/// Tile row and column of tile number `tile`, counted row by row up to the diagonal.
struct MomentTile {
  int row;
  int column;
};
__device__ inline MomentTile moment_tile(int tile) {
  int row = 0;
  while (tile > row) {
    tile -= ++row;
  }
  return {row, tile};
}

struct MomentShared {
  alignas(16) double left[2][kMomentRows][kMomentTile];
  alignas(16) double right[2][kMomentRows][kMomentTile];
};

/// A thread's four columns of a row on their way to shared memory; 0 where there is no such row or
/// column.
template <class T>
class MomentFetch {
 public:
  __device__ void load(const QueryMomentTask<T>& task, const T* row, bool exists,
                       const MomentTile& tile) {
    load_columns(row, exists, tile.row * kMomentTile, task.head_dim, m_left);
    load_columns(row, exists, tile.column * kMomentTile, task.head_dim, m_right);
  }
  __device__ void store(MomentShared& shared, int buffer) const {
    const int row = static_cast<int>(threadIdx.x) / (kMomentTile / 4);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      shared.left[buffer][row][first_column() + i] = static_cast<double>(m_left[i]);
      shared.right[buffer][row][first_column() + i] = static_cast<double>(m_right[i]);
    }
  }

 private:
  static __device__ int first_column() {
    return static_cast<int>(threadIdx.x) % (kMomentTile / 4) * 4;
  }
  static __device__ void load_columns(const T* row, bool exists, int tile_column, int head_dim,
                                      float (&values)[4]) {
    const int column = tile_column + first_column();
    if (exists && column < head_dim) {
      load4(row + column, values);
    } else {
#pragma unroll
      for (float& value : values) {
        value = 0.0F;
      }
    }
  }

  float m_left[4];
  float m_right[4];
};

/// grid (tiles, shares, Hkv).
template <class T>
__global__ void __launch_bounds__(kMomentThreads)
    moment_shares_kernel(const QueryMomentTask<T> task) {
  __shared__ MomentShared shared;
  const MomentTile tile = moment_tile(static_cast<int>(blockIdx.x));
  // The group's rows count as one list, member by member.
  const std::int64_t all_rows = task.rows * task.group;
  const std::int64_t share = blockIdx.y;
  const std::int64_t begin = all_rows * share / gridDim.y;
  const std::int64_t end = all_rows * (share + 1) / gridDim.y;
  const T* head =
      task.queries + static_cast<std::int64_t>(blockIdx.z) * task.group * task.head_stride;
  MomentFetch<T> fetch;
  const auto load = [&](std::int64_t first) {
    const std::int64_t row = first + static_cast<std::int64_t>(threadIdx.x) / (kMomentTile / 4);
    const bool exists = row < end;
    const std::int64_t member = exists ? row / task.rows : 0;
    const std::int64_t place = exists ? row % task.rows : 0;
    fetch.load(task, head + member * task.head_stride + place * task.row_stride, exists, tile);
  };
  const int row = static_cast<int>(threadIdx.x) / 16 * 4;
  const int column = static_cast<int>(threadIdx.x) % 16 * 2;
  double sums[4][4] = {};
  load(begin);
  fetch.store(shared, 0);
  __syncthreads();
  int buffer = 0;
#pragma unroll 1
  for (std::int64_t first = begin; first < end; first += kMomentRows) {
    const bool more = first + kMomentRows < end;
    if (more) {
      load(first + kMomentRows);
    }
#pragma unroll 4
    for (int k = 0; k < kMomentRows; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const double x = shared.left[buffer][k][row + r];
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          sums[r][c] += x * shared.right[buffer][k][column + c % 2 + c / 2 * 32];
        }
      }
    }
    if (more) {
      // The other buffer was last read before the barrier that ended the step before.
      fetch.store(shared, 1 - buffer);
    }
    __syncthreads();
    buffer = 1 - buffer;
  }
  double* target =
      task.shares +
      ((static_cast<std::int64_t>(blockIdx.z) * gridDim.y + share) * gridDim.x + blockIdx.x) *
          kMomentTileSize;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      target[(row + r) * kMomentTile + column + c % 2 + c / 2 * 32] = sums[r][c];
    }
  }
}

/// grid (tiles, tile elements / kMomentThreads, Hkv).
__global__ void __launch_bounds__(kMomentThreads)
    add_shares_kernel(const double* shares, int share_count, double* moments, int head_dim) {
  const MomentTile tile = moment_tile(static_cast<int>(blockIdx.x));
  const int element = static_cast<int>(blockIdx.y * kMomentThreads + threadIdx.x);
  const std::int64_t row = tile.row * kMomentTile + element / kMomentTile;
  const std::int64_t column = tile.column * kMomentTile + element % kMomentTile;
  if (row >= head_dim || column >= head_dim) {
    return;
  }
  const std::int64_t head = blockIdx.z;
  const double* share =
      shares + (head * share_count * gridDim.x + blockIdx.x) * kMomentTileSize + element;
  double sum = 0.0;
  for (int s = 0; s < share_count; ++s) {
    sum += share[static_cast<std::int64_t>(s) * gridDim.x * kMomentTileSize];
  }
  double* moment = moments + head * head_dim * head_dim;
  moment[row * head_dim + column] += sum;
  if (tile.row != tile.column) {
    moment[column * head_dim + row] += sum;
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
