#pragma once
// Rows of K and V from pinned host memory to device memory.
//
// Idea: zero-copy. A launch reads the lists on the device and the rows over the bus, so that the
// host neither waits nor plans. What hides the bus's latency is the number of loads on their way:
// every thread issues kGatherLoads of them before it stores the first.
//
// Thread layout: a segment's rows are laid end to end as vectors of 16 bytes; neighbouring lanes
// take neighbouring vectors, so that a warp's load is full lines of host memory also where rows are
// shorter than it. A fixed number of blocks strides over each segment, since only the device knows
// how many rows there are.
//
// Bytes: of a row, 2 d elements read over the bus and written once; 4 bytes of list, and of targets
// if there are any, for every vector, from the caches but for the first.
// Limits: rows are multiples of 16 bytes and aligned to them.

#include <cstdint>

#include "exec/device/device.cuh"
#include "exec/device/host_memory.cuh"
#include "exec/device/numeric.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kGatherThreads = 256;
inline constexpr int kGatherLoads = 4;
/// Vectors that a block takes at once.
inline constexpr std::int64_t kGatherTile = kGatherThreads * kGatherLoads;

/// Row tokens[s, i] of segment s goes to row targets[s, i] of the segment's target rows.
struct RowTransfer {
  const unsigned char* source;  ///< pinned host memory, [S, source_rows] rows
  std::int64_t source_rows;
  unsigned char* target;  ///< [S, target_rows] rows
  std::int64_t target_rows;
  const std::int32_t* tokens;   ///< [S, capacity]
  const std::int32_t* targets;  ///< [S, capacity]; null: i
  const std::int32_t* counts;   ///< [S]; of a longer list, what is there
  std::int64_t capacity;
  std::int64_t row_vectors;
  unsigned blocks_per_segment;
};

__global__ void __launch_bounds__(kGatherThreads) gather_rows_kernel(RowTransfer transfer) {
  constexpr std::int64_t kVectorBytes = 16;
  const std::int64_t s = blockIdx.x / transfer.blocks_per_segment;
  const std::int64_t block = blockIdx.x % transfer.blocks_per_segment;
  const std::int64_t count = min(std::int64_t{transfer.counts[s]}, transfer.capacity);
  const std::int64_t vectors = count * transfer.row_vectors;
  const std::int32_t* tokens = transfer.tokens + s * transfer.capacity;
  const std::int32_t* targets =
      transfer.targets == nullptr ? nullptr : transfer.targets + s * transfer.capacity;
  for (std::int64_t first = block * kGatherTile; first < vectors;
       first += transfer.blocks_per_segment * kGatherTile) {
    Vector16<unsigned> loaded[kGatherLoads];
    std::int64_t to[kGatherLoads];
#pragma unroll
    for (int u = 0; u < kGatherLoads; ++u) {
      const std::int64_t at = first + u * kGatherThreads + static_cast<std::int64_t>(threadIdx.x);
      to[u] = -1;
      if (at < vectors) {
        const std::int64_t i = at / transfer.row_vectors;
        const std::int64_t vector = at - i * transfer.row_vectors;
        const std::int64_t row = s * transfer.source_rows + tokens[i];
        const std::int64_t target_row =
            s * transfer.target_rows + (targets == nullptr ? i : targets[i]);
        loaded[u] = read_host16(reinterpret_cast<const unsigned*>(
            transfer.source + (row * transfer.row_vectors + vector) * kVectorBytes));
        to[u] = (target_row * transfer.row_vectors + vector) * kVectorBytes;
      }
    }
#pragma unroll
    for (int u = 0; u < kGatherLoads; ++u) {
      if (to[u] >= 0) {
        store16(reinterpret_cast<unsigned*>(transfer.target + to[u]), loaded[u]);
      }
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
