#pragma once
// Whitened keys z = k L.
//
// Idea. A block multiplies 64 keys by 128 columns of L (projection_tile.cuh has the layout) and
// stores the product. Bytes a block: 64 d elements of the keys, 512 d of L.

#include "a2ats/codebook_training_device.h"
#include "attention/projection_tile.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

template <class T>
struct WhitenTask {
  const T* keys;
  const float* cholesky;
  float* z;
  std::int64_t stride;
  std::int64_t rows;
  int head_dim;
};

/// grid (key tiles, column tiles), block kTileThreads.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 2) whiten_kernel(const WhitenTask<T> task) {
  __shared__ ProjectionShared shared;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kTileRows;
  const int first_column = static_cast<int>(blockIdx.y) * kTileColumns;
  const T* keys = task.keys + first * task.stride;
  const ProjectionShape shape{
      task.stride, static_cast<int>(min(static_cast<std::int64_t>(kTileRows), task.rows - first)),
      task.head_dim};
  const int slices = task.head_dim / kTileDepth;
  multiply_slices<T, float>(
      shared, shape, slices, slices,
      [&](int i) {
        return ProjectionSlice<T, float>{
            keys + i * kTileDepth,
            task.cholesky + static_cast<std::int64_t>(i) * kTileDepth * task.head_dim};
      },
      [&](int) { return first_column; },
      [&](int, const TileSums& sums) {
        const int column = first_column + static_cast<int>(threadIdx.x) % kColumnGroups * 4;
#pragma unroll
        for (int r = 0; r < kThreadRows; ++r) {
          float* row = task.z + (first + tile_row(r)) * task.head_dim;
#pragma unroll
          for (int side = 0; side < 2; ++side) {
            // d is a multiple of 4, so four columns are there or none.
            const int c = column + side * kTileColumns / 2;
            if (tile_row(r) < shape.row_count && c < task.head_dim) {
              *reinterpret_cast<float4*>(row + c) =
                  make_float4(sums[r][side * 4], sums[r][side * 4 + 1], sums[r][side * 4 + 2],
                              sums[r][side * 4 + 3]);
            }
          }
        }
      });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
