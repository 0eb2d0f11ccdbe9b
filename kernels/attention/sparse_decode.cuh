#pragma once
// The rows of a selection for decode_shares.cuh, K and V adjacent, and the merge of two parts.
//
// Threads of the merge: a warp a row; lanes stride its d numbers. Both log-sum-exps are read before
// lane 0 replaces one. Bytes: 8 (d + 1) read and 4 (d + 1) written a row; the list's 4 a row are
// read for K and for V. Limits: those of decode_shares.cuh; the merge takes any d.

#include <cstdint>

#include "attention/decode_shares.cuh"
#include "attention/sparse_decode_device.h"
#include "exec/device/device.cuh"
#include "exec/device/warp.cuh"
#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// The listed rows of each segment, or its first ones.
struct ListedRows {
  KvRows cache;
  const void* first_values;  ///< V of the cache's first row
  std::int64_t segment_count;
  const std::int32_t* list;  ///< [S, capacity]; null: row j is row j
  std::int64_t capacity;
  const std::int32_t* counts;

  __host__ __device__ std::int64_t segments() const { return segment_count; }
  __host__ __device__ std::int64_t head_dim() const { return cache.head_dim; }
  __device__ const void* keys() const { return cache.rows; }
  __device__ const void* values() const { return first_values; }
  __device__ std::int64_t length(std::int64_t s) const { return counts[s]; }
  __device__ std::int64_t begin(std::int64_t s) const { return s; }
  template <int kHeadDim>
  __device__ std::int64_t element(std::int64_t s, std::int64_t j) const {
    const std::int64_t row = list == nullptr ? j : list[s * capacity + j];
    return (s * cache.segment_rows + row) * (2 * kHeadDim);
  }
};

inline constexpr int kMergeThreads = 128;
inline constexpr int kMergeWarps = kMergeThreads / kWarpSize;

/// Row r of both parts by warp r.
__global__ void __launch_bounds__(kMergeThreads) merge_partial_kernel(MergePartialArgs args) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kMergeWarps +
                           static_cast<std::int64_t>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  if (row >= args.n) {
    return;
  }
  const float mine = args.log_sums[row];
  const float theirs = args.other_log_sums[row];
  if (theirs == -INFINITY) {
    return;
  }
  const float max = fmaxf(mine, theirs);
  const float my_weight = mine == -INFINITY ? 0.0F : expf(mine - max);
  const float their_weight = expf(theirs - max);
  const float sum = my_weight + their_weight;
  const float their_share = their_weight / sum;
  const float my_share = my_weight / sum;
  for (std::int64_t i = lane; i < args.head_dim; i += kWarpSize) {
    float& x = args.out[row * args.head_dim + i];
    const float other = their_share * args.other[row * args.head_dim + i];
    x = my_weight == 0.0F ? other : fmaf(my_share, x, other);
  }
  __syncwarp();
  if (lane == 0) {
    args.log_sums[row] = max + logf(sum);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
