#pragma once
// Products of rows with output projections, tile by tile, of which only sums of magnitudes are
// wanted: the products themselves are never stored.
//
// A block multiplies 64 rows [64, depth] by 128 columns [depth, 128] in slices of 16 channels.
// Thread = (row group, column group): 4 rows, columns 4c .. 4c + 3 and 64 more to the right, 32
// sums in registers. While a slice is multiplied, the next one travels from memory to registers
// and then to the other of two buffers. A slice moves (64 + 128) * 16 elements for 64 * 128 * 16
// FMAs. Element types are converted to fp32 on the way to shared memory.
//
// Everything is added in one order: channels ascending in a sum, columns of a row in a fixed
// butterfly over the half-warp that holds them.

#include "exec/device/load4.cuh"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kTileRows = 64;
inline constexpr int kTileColumns = 128;
inline constexpr int kTileDepth = 16;
inline constexpr int kTileThreads = 256;
inline constexpr int kThreadRows = 4;
inline constexpr int kThreadColumns = 8;
inline constexpr int kColumnGroups = kTileColumns / kThreadColumns;
// Elements of a slice that a thread fetches.
inline constexpr int kThreadFetch = kTileDepth * kTileColumns / kTileThreads;

static_assert(kTileRows * kTileDepth == 4 * kTileThreads, "a thread fetches four channels");
static_assert(kTileDepth == kTileThreads / kColumnGroups, "a half-warp fetches a row of columns");

struct ProjectionShared {
  // Padded: stores down a column spread over the banks, loads of four rows stay aligned.
  alignas(16) float rows[2][kTileDepth][kTileRows + 4];
  alignas(16) float columns[2][kTileDepth][kTileColumns];
};

/// The sums of a thread's rows and columns.
using TileSums = float[kThreadRows][kThreadColumns];

/// Where a slice's elements lie. Rows past `row_count` repeat the last, columns past `width` are 0.
template <class X, class W>
struct ProjectionSlice {
  const X* rows;     // the slice's first channel of the tile's first row
  const W* columns;  // the slice's first channel, column 0
};

/// What all slices share.
struct ProjectionShape {
  std::int64_t row_stride;  // elements between rows
  int row_count;            // rows of the tile that exist
  int width;                // D
};

/// A thread's share of a slice on its way to shared memory.
template <class X, class W>
class SliceFetch {
 public:
  __device__ void load(const ProjectionSlice<X, W>& slice, const ProjectionShape& shape,
                       int first_column) {
    const int thread = static_cast<int>(threadIdx.x);
    const int row = min(thread / 4, shape.row_count - 1);
    load4(slice.rows + row * shape.row_stride + thread % 4 * 4, m_row);
    const int column = first_column + thread % kColumnGroups * kThreadFetch;
    const W* columns =
        slice.columns + static_cast<std::int64_t>(thread / kColumnGroups) * shape.width + column;
    if (shape.width % kThreadFetch == 0) {
      load_aligned(columns, column < shape.width);
    } else {
#pragma unroll
      for (int i = 0; i < kThreadFetch; ++i) {
        m_columns[i] = column + i < shape.width ? to_float(columns[i]) : 0.0F;
      }
    }
  }

  __device__ void store(ProjectionShared& shared, int buffer) const {
    const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      shared.rows[buffer][thread % 4 * 4 + i][thread / 4] = m_row[i];
    }
    float* columns =
        shared.columns[buffer][thread / kColumnGroups] + thread % kColumnGroups * kThreadFetch;
#pragma unroll
    for (int i = 0; i < kThreadFetch; i += 4) {
      *reinterpret_cast<float4*>(columns + i) =
          make_float4(m_columns[i], m_columns[i + 1], m_columns[i + 2], m_columns[i + 3]);
    }
  }

 private:
  __device__ void load_aligned(const W* columns, bool exist) {
    constexpr int kSize = Vector16<W>::kSize;
#pragma unroll
    for (int first = 0; first < kThreadFetch; first += kSize) {
      const Vector16<W> vector = exist ? load16(columns + first) : Vector16<W>{};
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        m_columns[first + i] = to_float(vector.values[i]);
      }
    }
  }

  float m_row[4];
  float m_columns[kThreadFetch];
};

/// sums += the buffer's rows times its columns.
__device__ inline void multiply_slice(const ProjectionShared& shared, int buffer, TileSums& sums) {
  const int row = static_cast<int>(threadIdx.x) / kColumnGroups * kThreadRows;
  const int column = static_cast<int>(threadIdx.x) % kColumnGroups * 4;
// Unrolled further, two blocks no longer fit the registers of a multiprocessor.
#pragma unroll 2
  for (int k = 0; k < kTileDepth; ++k) {
    float x[kThreadRows];
    load4(&shared.rows[buffer][k][row], x);
    float w[2][4];
    load4(&shared.columns[buffer][k][column], w[0]);
    load4(&shared.columns[buffer][k][column + kTileColumns / 2], w[1]);
#pragma unroll
    for (int r = 0; r < kThreadRows; ++r) {
#pragma unroll
      for (int c = 0; c < kThreadColumns; ++c) {
        sums[r][c] = fmaf(x[r], w[c / 4][c % 4], sums[r][c]);
      }
    }
  }
}

/// Multiplies `slices` slices. slice(i) says where slice i lies and first_column(i) which columns
/// it meets; done(i, sums) is called after every `slices_per_sum` slices, and then the sums begin
/// again at 0. All threads of the block take part.
template <class X, class W, class Slice, class FirstColumn, class Done>
__device__ inline void multiply_slices(ProjectionShared& shared, const ProjectionShape& shape,
                                       int slices, int slices_per_sum, Slice slice,
                                       FirstColumn first_column, Done done) {
  TileSums sums = {};
  SliceFetch<X, W> fetch;
  fetch.load(slice(0), shape, first_column(0));
  fetch.store(shared, 0);
  __syncthreads();
  int left = slices_per_sum;
#pragma unroll 1
  for (int i = 0; i < slices; ++i) {
    const bool more = i + 1 < slices;
    if (more) {
      fetch.load(slice(i + 1), shape, first_column(i + 1));
    }
    multiply_slice(shared, i % 2, sums);
    if (more) {
      // The other buffer was last read before the barrier that ended the step before.
      fetch.store(shared, (i + 1) % 2);
    }
    __syncthreads();
    if (--left == 0) {
      left = slices_per_sum;
      done(i, sums);
#pragma unroll
      for (int r = 0; r < kThreadRows; ++r) {
#pragma unroll
        for (int c = 0; c < kThreadColumns; ++c) {
          sums[r][c] = 0.0F;
        }
      }
    }
  }
}

/// Sum of |sums[r][c]| over a thread's columns.
__device__ inline float thread_magnitude(const TileSums& sums, int r) {
  float magnitude = 0.0F;
#pragma unroll
  for (int c = 0; c < kThreadColumns; ++c) {
    magnitude += fabsf(sums[r][c]);
  }
  return magnitude;
}

/// Sum over the half-warp that holds a row's columns; every lane gets it.
__device__ inline float sum_columns(float value) {
  return lanes_sum<kColumnGroups / 2>(value);
}

/// The tile's row of a thread's r-th sums.
__device__ inline int tile_row(int r) {
  return static_cast<int>(threadIdx.x) / kColumnGroups * kThreadRows + r;
}

/// Whether this thread speaks for its rows.
__device__ inline bool first_column_group() {
  return threadIdx.x % kColumnGroups == 0;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
