#pragma once
// L1 norms of projected values.
//
// Idea. A block takes 64 tokens of one query head and walks over the columns of its projection, 128
// at a time; of each product it adds the magnitudes to the tokens' sums. Layout and bytes:
// projection_tile.cuh. A block reads d D elements of the projection and, once every 128 columns,
// 64 d of the values, both from L2 after the first block of the head.

#include "attention/projection_tile.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

template <class X, class W>
struct ValueNormsTask {
  const X* values;
  const W* projections;
  float* norms;
  int group;
  int tokens;
  int head_dim;
  int width;
};

/// grid (token tiles, Hq), block kTileThreads.
template <class X, class W>
__global__ void __launch_bounds__(kTileThreads, 2)
    value_norms_kernel(const ValueNormsTask<X, W> task) {
  __shared__ ProjectionShared shared;
  const std::int64_t head = blockIdx.y;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kTileRows;
  const X* values = task.values + (head / task.group * task.tokens + first) * task.head_dim;
  const W* projection = task.projections + head * task.head_dim * task.width;
  const int slices = task.head_dim / kTileDepth;
  const int column_tiles = (task.width + kTileColumns - 1) / kTileColumns;
  const ProjectionShape shape{
      task.head_dim,
      static_cast<int>(min(static_cast<std::int64_t>(kTileRows), task.tokens - first)), task.width};
  float norms[kThreadRows] = {};
  multiply_slices<X, W>(
      shared, shape, slices * column_tiles, slices,
      [&](int i) {
        const int channel = i % slices * kTileDepth;
        return ProjectionSlice<X, W>{values + channel,
                                     projection + static_cast<std::int64_t>(channel) * task.width};
      },
      [&](int i) { return i / slices * kTileColumns; },
      [&](int, const TileSums& sums) {
#pragma unroll
        for (int r = 0; r < kThreadRows; ++r) {
          norms[r] += thread_magnitude(sums, r);
        }
      });
#pragma unroll
  for (int r = 0; r < kThreadRows; ++r) {
    const float norm = sum_columns(norms[r]);
    if (first_column_group() && tile_row(r) < shape.row_count) {
      task.norms[head * task.tokens + first + tile_row(r)] = norm;
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
