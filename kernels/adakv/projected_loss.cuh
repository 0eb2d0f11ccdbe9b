#pragma once
// L1 losses behind the output projection.
//
// Idea. The loss of a unit is a product over its heads' channels, the layer's loss the same product
// over all heads. A block holds 64 queries times 128 columns of one selection and walks over all
// heads' channels: after each unit it takes the magnitudes of the unit's sums and adds those sums
// to the layer's, whose magnitudes it takes at the end. So every difference is projected once and
// no product is stored. The output y itself is one more selection, with the layer as its only unit.
// Magnitudes of a row and column tile go to the workspace; a second kernel adds the tiles of a row
// in ascending order, where atomics would depend on the schedule.
//
// Layout: projection_tile.cuh. Bytes a block: 128 Hq d elements of the projections and 64 Hq d of
// the differences, for 64 * 128 Hq d FMAs; 4 a row and unit written, which the sum reads again.

#include "attention/projection_tile.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kLossSumThreads = 128;

template <class W>
struct ProjectedLossTask {
  const W* projections;
  const float* output;
  const float* difference;
  float*
      partial;  // [S * (U + 1) + 1, column tiles, R]: a selection's units, then its layer; then y
  int q_heads;
  int units;
  int selections;
  int queries;
  int head_dim;
  int width;
};

/// Stores the magnitudes of a tile's rows.
__device__ inline void store_magnitudes(const TileSums& sums, int row_count, float* partial) {
#pragma unroll
  for (int r = 0; r < kThreadRows; ++r) {
    const float magnitude = sum_columns(thread_magnitude(sums, r));
    if (first_column_group() && tile_row(r) < row_count) {
      partial[tile_row(r)] = magnitude;
    }
  }
}

/// grid (column tiles, query tiles, S + 1), block kTileThreads.
template <class W>
__global__ void __launch_bounds__(kTileThreads, 2)
    projected_loss_kernel(const ProjectedLossTask<W> task) {
  __shared__ ProjectionShared shared;
  const int selection = static_cast<int>(blockIdx.z);
  const bool is_output = selection == task.selections;
  const int units = is_output ? 1 : task.units;
  const int first_row = static_cast<int>(blockIdx.y) * kTileRows;
  const int first_column = static_cast<int>(blockIdx.x) * kTileColumns;
  const std::int64_t head_rows = static_cast<std::int64_t>(task.queries) * task.head_dim;
  const float* rows =
      (is_output ? task.output : task.difference + selection * task.q_heads * head_rows) +
      static_cast<std::int64_t>(first_row) * task.head_dim;
  const auto partial = [&](int unit) {
    const std::int64_t slot = static_cast<std::int64_t>(selection) * (task.units + 1) + unit;
    return task.partial + (slot * gridDim.x + blockIdx.x) * task.queries + first_row;
  };
  const int head_slices = task.head_dim / kTileDepth;
  const int unit_slices = task.q_heads / units * head_slices;
  const ProjectionShape shape{task.head_dim, min(kTileRows, task.queries - first_row), task.width};

  TileSums layer = {};
  multiply_slices<float, W>(
      shared, shape, units * unit_slices, unit_slices,
      [&](int i) {
        const std::int64_t head = i / head_slices;
        const int channel = i % head_slices * kTileDepth;
        return ProjectionSlice<float, W>{
            rows + head * head_rows + channel,
            task.projections + (head * task.head_dim + channel) * task.width};
      },
      [&](int) { return first_column; },
      [&](int i, const TileSums& sums) {
        if (!is_output) {
          store_magnitudes(sums, shape.row_count, partial(i / unit_slices));
        }
#pragma unroll
        for (int r = 0; r < kThreadRows; ++r) {
#pragma unroll
          for (int c = 0; c < kThreadColumns; ++c) {
            layer[r][c] += sums[r][c];
          }
        }
      });
  store_magnitudes(layer, shape.row_count, partial(is_output ? 0 : task.units));
}

struct LossSumTask {
  const float* partial;  // [S * (U + 1) + 1, column tiles, R]
  float* unit_loss;
  float* layer_loss;
  float* output_norm;
  int units;
  int selections;
  int queries;
  int column_tiles;
};

/// grid (query blocks, S * (U + 1) + 1), block kLossSumThreads: a thread a query.
__global__ void __launch_bounds__(kLossSumThreads) projected_loss_sum_kernel(LossSumTask task) {
  const int query = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (query >= task.queries) {
    return;
  }
  const std::int64_t slot = blockIdx.y;
  const float* partial = task.partial + slot * task.column_tiles * task.queries + query;
  float sum = 0.0F;
  for (int tile = 0; tile < task.column_tiles; ++tile) {
    sum += partial[static_cast<std::int64_t>(tile) * task.queries];
  }
  const std::int64_t selection = slot / (task.units + 1);
  const std::int64_t unit = slot % (task.units + 1);
  float* target = unit < task.units
                      ? task.unit_loss + (selection * task.units + unit) * task.queries
                      : task.layer_loss + selection * task.queries;
  (selection == task.selections ? task.output_norm : target)[query] = sum;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
