#pragma once
// Moving rows of K and V between caches.
//
// Idea: rows are bytes, so one kernel per row size serves all dtypes. A block takes a tile of
// consecutive rows of the list (or of the old cache, or of the new tokens) wherever segments end,
// so that the longest head delays nobody. First a thread a row finds out where its row comes from
// and goes to: a binary search for the segment, and the page; then all threads copy the tile.
//
// Thread layout: 256 threads; a tile is 512 vectors of 16 bytes of K and as many of V, that is
// 512 / (row vectors) rows: 64 of 128 bytes, 8 of 1 KiB. Neighbouring threads copy neighbouring
// vectors of a row, and each loads two vectors of K and two of V before it stores the first.
//
// Bytes moved per block: up to 16 KiB read and as many written; besides 4 bytes of list a row, and
// some 40 of offsets for each segment of the rows that a warp plans.
// Limits: rows are multiples of 16 bytes and aligned to them.

#include <cstddef>
#include <cstdint>

#include "adakv/cache_rows.h"
#include "exec/device/device.cuh"
#include "kvsieve/kernels/cache_compaction.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kVectorBytes = 16;
inline constexpr int kCopyThreads = 256;
inline constexpr int kTileVectors = 512;

/// Rows of a tile.
[[nodiscard]] constexpr int tile_rows(int row_vectors) {
  return kTileVectors / row_vectors;
}

/// Where the rows of a tile come from and go to, in bytes from the start of K and of V.
template <int kRowVectors>
struct TilePlan {
  std::int64_t source[tile_rows(kRowVectors)];
  std::int64_t target[tile_rows(kRowVectors)];  ///< kNoRow: nothing to copy
};
inline constexpr std::int64_t kNoRow = -1;

__device__ inline uint4 load_vector(const void* start, std::int64_t byte) {
  return *reinterpret_cast<const uint4*>(static_cast<const char*>(start) + byte);
}
__device__ inline void store_vector(void* start, std::int64_t byte, uint4 vector) {
  *reinterpret_cast<uint4*>(static_cast<char*>(start) + byte) = vector;
}

/// Copies the planned rows. All threads of the block call it after the plan is complete.
template <int kRowVectors>
__device__ inline void copy_tile(const TilePlan<kRowVectors>& plan, const void* from_keys,
                                 const void* from_values, const RaggedCacheView& to) {
  constexpr int kVectors = tile_rows(kRowVectors) * kRowVectors;
  constexpr int kSteps = (kVectors + kCopyThreads - 1) / kCopyThreads;
  uint4 keys[kSteps];
  uint4 values[kSteps];
  std::int64_t targets[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int vector = static_cast<int>(threadIdx.x) + step * kCopyThreads;
    const int row = vector / kRowVectors;
    const int byte = vector % kRowVectors * kVectorBytes;
    targets[step] = vector < kVectors ? plan.target[row] : kNoRow;
    if (targets[step] != kNoRow) {
      targets[step] += byte;
      keys[step] = load_vector(from_keys, plan.source[row] + byte);
      values[step] = load_vector(from_values, plan.source[row] + byte);
    }
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    if (targets[step] != kNoRow) {
      store_vector(to.keys, targets[step], keys[step]);
      store_vector(to.values, targets[step], values[step]);
    }
  }
}

/// Whether segment s has room for `rows` rows; reports it if not.
__device__ inline bool fits(const RaggedCacheView& cache, std::int64_t s, std::int64_t rows,
                            std::int32_t* failed_segment) {
  const bool result = has_room(cache, s, rows);
  if (!result) {
    atomicMax(failed_segment, static_cast<std::int32_t>(s + 1));
  }
  return result;
}

/// Sets the lengths of the segments that fall to this thread; those without room become empty.
template <class LengthOf>
__device__ inline void set_lengths(const RaggedCacheView& cache, std::int32_t* failed_segment,
                                   LengthOf length_of) {
  const std::int64_t s = std::int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (s < cache.segments) {
    const std::int64_t rows = length_of(s);
    cache.lengths[s] = fits(cache, s, rows, failed_segment) ? static_cast<std::int32_t>(rows) : 0;
  }
}

template <int kRowVectors>
__global__ void __launch_bounds__(kCopyThreads)
    compact_cache_kernel(DenseCacheView dense, KeptTokensView kept, RaggedCacheView cache,
                         std::int32_t* failed_segment) {
  __shared__ TilePlan<kRowVectors> plan;
  constexpr int kTileRows = tile_rows(kRowVectors);
  if (threadIdx.x < kTileRows) {
    const std::int64_t row = std::int64_t{blockIdx.x} * kTileRows + threadIdx.x;
    std::int64_t target = kNoRow;
    if (row < kept.offsets[cache.segments]) {
      const std::int64_t s = segment_of(kept.offsets, cache.segments, row);
      const std::int64_t first = kept.offsets[s];
      if (has_room(cache, s, kept.offsets[s + 1] - first)) {
        const auto element_bytes = static_cast<std::int64_t>(traces::size_of(dense.dtype));
        plan.source[threadIdx.x] = element_of(dense, s, kept.tokens[row]) * element_bytes;
        target = row_of(cache, s, row - first) * (kRowVectors * kVectorBytes);
      }
    }
    plan.target[threadIdx.x] = target;
  }
  set_lengths(cache, failed_segment,
              [&](std::int64_t s) { return kept.offsets[s + 1] - kept.offsets[s]; });
  __syncthreads();
  copy_tile(plan, dense.keys, dense.values, cache);
}

/// @param places rows of `from`, slack included
template <int kRowVectors>
__global__ void __launch_bounds__(kCopyThreads)
    regrow_cache_kernel(RaggedCacheView from, std::int64_t places, RaggedCacheView to,
                        std::int32_t* failed_segment) {
  __shared__ TilePlan<kRowVectors> plan;
  constexpr int kTileRows = tile_rows(kRowVectors);
  constexpr int kRowBytes = kRowVectors * kVectorBytes;
  if (threadIdx.x < kTileRows) {
    const std::int64_t place = std::int64_t{blockIdx.x} * kTileRows + threadIdx.x;
    std::int64_t target = kNoRow;
    if (place < places) {
      const TokenPlace token = place_of(from, place);
      const std::int32_t length = from.lengths[token.s];
      if (token.j < length && has_room(to, token.s, length)) {
        plan.source[threadIdx.x] = row_of(from, token.s, token.j) * kRowBytes;
        target = row_of(to, token.s, token.j) * kRowBytes;
      }
    }
    plan.target[threadIdx.x] = target;
  }
  set_lengths(to, failed_segment, [&](std::int64_t s) { return from.lengths[s]; });
  __syncthreads();
  copy_tile(plan, from.keys, from.values, to);
}

/// @param tiles blocks of each segment
template <int kRowVectors>
__global__ void __launch_bounds__(kCopyThreads)
    append_tokens_kernel(NewTokens rows, RaggedCacheView cache, unsigned tiles,
                         std::int32_t* failed_segment) {
  __shared__ TilePlan<kRowVectors> plan;
  constexpr int kTileRows = tile_rows(kRowVectors);
  constexpr int kRowBytes = kRowVectors * kVectorBytes;
  const std::int64_t s = blockIdx.x / tiles;
  const std::int32_t length = cache.lengths[s];
  if (!has_room(cache, s, length + rows.per_segment)) {
    if (threadIdx.x == 0) {
      atomicMax(failed_segment, static_cast<std::int32_t>(s + 1));
    }
    return;
  }
  if (threadIdx.x < kTileRows) {
    const std::int64_t i = std::int64_t{blockIdx.x % tiles} * kTileRows + threadIdx.x;
    const bool live = i < rows.per_segment;
    plan.source[threadIdx.x] = (s * rows.per_segment + i) * kRowBytes;
    plan.target[threadIdx.x] = live ? row_of(cache, s, length + i) * kRowBytes : kNoRow;
  }
  __syncthreads();
  copy_tile(plan, rows.keys, rows.values, cache);
  // A decode step is one launch. With several blocks a segment the length may change only after all
  // have read it: change_lengths_kernel does it.
  if (tiles == 1 && threadIdx.x == 0) {
    cache.lengths[s] = length + static_cast<std::int32_t>(rows.per_segment);
  }
}

/// Adds `change` to the lengths that it leaves between 0 and the segment's room.
__global__ void __launch_bounds__(kCopyThreads)
    change_lengths_kernel(RaggedCacheView cache, std::int64_t change,
                          std::int32_t* failed_segment) {
  const std::int64_t s = std::int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (s >= cache.segments) {
    return;
  }
  const std::int64_t length = cache.lengths[s] + change;
  if (length < 0) {
    atomicMax(failed_segment, static_cast<std::int32_t>(s + 1));
  } else if (fits(cache, s, length, failed_segment)) {
    cache.lengths[s] = static_cast<std::int32_t>(length);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
