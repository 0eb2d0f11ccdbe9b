#pragma once
// Sums of outer products of query rows.
//
// Idea. H = Q^T Q is symmetric, so only tiles [64, 64] on and below the diagonal are computed, and
// of a tile only the parts [16, 16] there are stored. The rows of a KV head's group are cut into up
// to 64 shares; a block adds up one tile over one share and leaves the sum in the workspace. A
// second kernel adds the shares in ascending order, a block a part, which it writes into both
// halves of H, turned over in shared memory: no atomics. Products of fp32 numbers are exact in
// double precision, so sums lose nothing to cancellation; 16-bit and fp32 queries are converted
// once, on the way to shared memory.
//
// Layout: 256 threads of 4 x 4 sums; columns 2c, 2c + 1 and 32 further on, which spreads a warp's
// loads over the banks. 16 rows at a time in two buffers, one barrier a step. The loop over them is
// unrolled twice: more takes so many registers that only two blocks fit a multiprocessor.
// Bytes a block: 2 * 64 columns of its rows, on the diagonal 64, for 64 * 64 FMAs a row; up to 32
// KiB of sums written once.

#include "a2ats/query_moment_device.h"
#include "exec/device/load4.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kMomentTile = 64;
inline constexpr int kMomentThreads = 256;
inline constexpr int kMomentRows = 16;
inline constexpr int kMomentShares = 64;
inline constexpr int kMomentTileSize = kMomentTile * kMomentTile;
inline constexpr int kMomentPart = 16;
inline constexpr int kMomentTileParts = kMomentTile / kMomentPart;

static_assert(kMomentRows * kMomentTile == 4 * kMomentThreads, "a thread fetches four columns");
static_assert(kMomentPart * kMomentPart == kMomentThreads, "a thread adds up an element of a part");

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

  __device__ bool on_diagonal() const { return row == column; }
};
__device__ inline MomentTile moment_tile(int tile) {
  int row = 0;
  while (tile > row) {
    tile -= ++row;
  }
  return {row, tile};
}

/// Whether a row and a column of H meet in a part on or below the diagonal. d is a multiple of
/// kMomentPart.
__device__ inline bool has_sums(int row, int column, int head_dim) {
  return row < head_dim && column / kMomentPart <= row / kMomentPart;
}

struct MomentShared {
  alignas(16) double left[2][kMomentRows][kMomentTile];
  alignas(16) double right[2][kMomentRows][kMomentTile];  ///< unused by a tile on the diagonal
};

/// A thread's four columns of a row, left and right, on their way to shared memory; 0 where there
/// is no such row or column.
template <class T>
class MomentFetch {
 public:
  __device__ void load(const QueryMomentTask<T>& task, const T* row, bool exists,
                       const MomentTile& tile) {
    load_columns(row, exists, tile.row * kMomentTile, task.head_dim, m_left);
    if (!tile.on_diagonal()) {
      load_columns(row, exists, tile.column * kMomentTile, task.head_dim, m_right);
    }
  }
  __device__ void store(MomentShared& shared, int buffer, const MomentTile& tile) const {
    const int row = static_cast<int>(threadIdx.x) / (kMomentTile / 4);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      shared.left[buffer][row][first_column() + i] = static_cast<double>(m_left[i]);
    }
    if (!tile.on_diagonal()) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shared.right[buffer][row][first_column() + i] = static_cast<double>(m_right[i]);
      }
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
  const auto rows = static_cast<int>(all_rows * (share + 1) / gridDim.y - begin);
  const int fetched_row = static_cast<int>(threadIdx.x) / (kMomentTile / 4);
  std::int64_t place = (begin + fetched_row) % task.rows;
  const T* source =
      task.queries +
      (static_cast<std::int64_t>(blockIdx.z) * task.group + (begin + fetched_row) / task.rows) *
          task.head_stride +
      place * task.row_stride;
  MomentFetch<T> fetch;
  const auto load = [&](int first) {
    fetch.load(task, source, first + fetched_row < rows, tile);
    place += kMomentRows;
    source += kMomentRows * task.row_stride;
    while (place >= task.rows) {
      place -= task.rows;
      source += task.head_stride - task.rows * task.row_stride;
    }
  };
  const int row = static_cast<int>(threadIdx.x) / 16 * 4;
  const int column = static_cast<int>(threadIdx.x) % 16 * 2;
  const double* left = &shared.left[0][0][row];
  const double* right = &(tile.on_diagonal() ? shared.left : shared.right)[0][0][column];
  double sums[4][4] = {};
  load(0);
  fetch.store(shared, 0, tile);
  __syncthreads();
  int buffer = 0;
#pragma unroll 1
  for (int first = 0; first < rows; first += kMomentRows) {
    const bool more = first + kMomentRows < rows;
    if (more) {
      load(first + kMomentRows);
    }
    // A warp whose rows of the tile d does not have only fetches.
    if (tile.row * kMomentTile + row < task.head_dim) {
#pragma unroll 2
      for (int k = 0; k < kMomentRows; ++k) {
        const int at = (buffer * kMomentRows + k) * kMomentTile;
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const double x = left[at + r];
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            sums[r][c] += x * right[at + c % 2 + c / 2 * 32];
          }
        }
      }
    }
    if (more) {
      // The other buffer was last read before the barrier that ended the step before.
      fetch.store(shared, 1 - buffer, tile);
    }
    __syncthreads();
    buffer = 1 - buffer;
  }
  double* target =
      task.shares +
      ((static_cast<std::int64_t>(blockIdx.z) * gridDim.y + share) * gridDim.x + blockIdx.x) *
          kMomentTileSize;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (has_sums(tile.row * kMomentTile + row, tile.column * kMomentTile + column + half * 32,
                 task.head_dim)) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        *reinterpret_cast<double2*>(&target[(row + r) * kMomentTile + column + half * 32]) =
            make_double2(sums[r][2 * half], sums[r][2 * half + 1]);
      }
    }
  }
}

/// grid (tiles, parts of a tile, Hkv).
__global__ void __launch_bounds__(kMomentThreads)
    add_shares_kernel(const double* shares, int share_count, double* moments, int head_dim) {
  // Rows lie one number further apart, so that a column is spread over the banks.
  __shared__ double part[kMomentPart][kMomentPart + 1];
  const MomentTile tile = moment_tile(static_cast<int>(blockIdx.x));
  const int part_row = static_cast<int>(blockIdx.y) / kMomentTileParts * kMomentPart;
  const int part_column = static_cast<int>(blockIdx.y) % kMomentTileParts * kMomentPart;
  const int first_row = tile.row * kMomentTile + part_row;
  const int first_column = tile.column * kMomentTile + part_column;
  if (!has_sums(first_row, first_column, head_dim)) {
    return;
  }
  const int row = static_cast<int>(threadIdx.x) / kMomentPart;
  const int column = static_cast<int>(threadIdx.x) % kMomentPart;
  const std::int64_t head = blockIdx.z;
  const double* share = shares + (head * share_count * gridDim.x + blockIdx.x) * kMomentTileSize +
                        (part_row + row) * kMomentTile + part_column + column;
  double sum = 0.0;
  for (int s = 0; s < share_count; ++s) {
    sum += share[static_cast<std::int64_t>(s) * gridDim.x * kMomentTileSize];
  }
  double* moment = moments + head * head_dim * head_dim;
  moment[(first_row + row) * head_dim + first_column + column] += sum;
  if (first_row == first_column) {
    return;
  }
  part[row][column] = sum;
  __syncthreads();
  moment[(first_column + row) * head_dim + first_row + column] += part[column][row];
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
