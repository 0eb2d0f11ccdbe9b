#pragma once
// Mean attention of observed queries on every key, reduced over a group and pooled.
//
// The idea: softmax over all keys needs each row's maximum and sum before any weight is known, and
// storing [rows, n] scores would cost more than computing them again. So three launches:
//   1. row_statistics_kernel: maximum and sum of exp of each row (query) over each tile of keys,
//   2. merge_statistics_kernel: those of the tiles become those of the row,
//   3. column_scores_kernel: the scores again, as weights; mean over rows, group, pooling.
//
// Thread layout of 1 and 3: a block has a tile of keys of one KV head, a warp kWarpKeys of them.
// Keys stay where they are loaded (16-bit: in registers as fragments; fp32: in shared memory), the
// rows of the group's members stream through shared memory, a stage of 16 ahead of the computation.
// A warp multiplies 16 rows by its keys, with warp_mma or, fp32, with FMAs in the same arrangement
// of sums over lanes: rows r, r + 8 and keys 8 t + c, 8 t + c + 1 in lane 4 r + c / 2. Rows of a
// stage belong to one member, so that a mean over a member's rows is a sum over the lane's own
// rows, then over the lanes with the same keys: no atomics, one fixed order. Stages begin at
// multiples of 16 rows whatever rows the tile's keys are seen by, and rows that do not see a key
// add exact zeros. So a key's mean does not depend on the tile that computes it, and the blocks
// that compute it for pooling (a halo on both sides of a tile) agree to the bit.
//
// Bytes moved per block: its keys once (tile * d elements from memory), and the rows that see them
// (G * R * d elements, from the L2 cache when many blocks read the same). Launch 1 reads 4 bytes a
// row and warp and writes 8 a row, launch 3 reads 12 a row and warp and writes 4 a unit and column.
// Launch 2 reads 12 bytes a row and tile and writes 8 a row.
// Limits: d a multiple of 16 up to 256; G <= kDeviceMaxGroup; halo less than half a tile.

#include <climits>
#include <cmath>

#include "exec/device/device.cuh"
#include "exec/device/numeric.cuh"
#include "exec/device/warp.cuh"
#include "exec/device/warp_mma.cuh"
#include "kvsieve/kernels/device_support.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Softmax statistics of a row: the largest score, and the sum of exp(score - largest) of a tile,
/// or its inverse once merged over all tiles. A row that sees no key has -inf and 0.
struct RowStatistics {
  float largest;
  float sum;
};

/// What the three kernels know of the problem; letters as in WindowScoresArgs.
struct WindowProblem {
  const std::int32_t* positions;  // [R]
  std::int64_t sequence_stride;   // of the keys, in elements
  std::int64_t head_stride;
  std::int64_t token_stride;
  int kv_heads;
  int group;
  int queries;         // R
  int tokens;          // n
  int scored_tokens;   // m
  int sliding_window;  // INT_MAX for none
  float scale;
  float softcap;  // 0 for none
};

/// What launch 3 does with the means.
struct ScoreStages {
  bool by_kv_head;
  GroupReduce reduce;
  Pooling::Kind pooling;
  int pooling_kernel;
  int reach;         // columns on each side that pooling reads
  int tile_columns;  // columns that a block writes: its keys less twice the reach
};

/// How keys and rows are cut, by element type and head dimension D.
template <class T, int D>
struct WindowTile {
  static constexpr bool kTensorCores = sizeof(T) == 2;
  static constexpr int kWarps = kTensorCores ? 8 : 4;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kWarpKeys = D > 128 ? 16 : 32;  // bounds registers and shared memory
  static constexpr int kKeys = kWarps * kWarpKeys;
  static constexpr int kKeyGroups = kWarpKeys / kMmaN;
  static constexpr int kBlocksPerSm = 2;  // at least; bounds registers to 128 and 256

  static constexpr int kRowBytes = D * static_cast<int>(sizeof(T));
  // Lanes read 16 bytes of several rows at once. These strides put rows r and r + 1 (16-bit; each
  // read by four lanes side by side) or r to r + 7 (fp32) into different banks of 128 bytes.
  static constexpr int kStrideBytes =
      kTensorCores ? (kRowBytes + 63) / 128 * 128 + 64 : kRowBytes + 16;
  static constexpr int kStride = kStrideBytes / static_cast<int>(sizeof(T));

  static constexpr int kStageBytes = kMmaM * kStrideBytes;
  static constexpr int kKeyBytes = kTensorCores ? 0 : kKeys * kStrideBytes;
  static constexpr int kSharedBytes = 2 * kStageBytes + kKeyBytes;
  static_assert(D % kMmaK == 0 && kStrideBytes >= kRowBytes && kStrideBytes % 16 == 0);
};

// ---------------------------------------------------------------------------------------------
// Who sees what

/// Indices [begin, end); of keys or of queries.
struct IndexRange {
  int begin;
  int end;
};

/// Keys that the query at `position` sees, counted from key `origin`.
__device__ inline IndexRange visible_keys(const WindowProblem& problem, int position,
                                          int origin = 0) {
  const int end = position < problem.tokens ? position + 1 : problem.tokens;
  const int begin = max(0, position - problem.sliding_window + 1);
  return {min(begin, end) - origin, end - origin};
}

/// Queries before the first at `position` or later.
__device__ inline int queries_before(const WindowProblem& problem, std::int64_t position) {
  int begin = 0;
  int end = problem.queries;
  while (begin < end) {
    const int middle = begin + (end - begin) / 2;
    if (__ldg(problem.positions + middle) < position) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

/// Queries that see at least one of the keys [first, last].
__device__ inline IndexRange viewers(const WindowProblem& problem, int first, int last) {
  return {queries_before(problem, first),
          queries_before(problem, std::int64_t{last} + problem.sliding_window)};
}

/// viewers() of a tile, from a multiple of the 16 rows that are multiplied together. In shared
/// memory, because keys leave no register to spare. All threads of the block call it together.
template <class T, int D>
__device__ inline void find_tile_viewers(const WindowProblem& problem, int first_key,
                                         IndexRange& range) {
  if (threadIdx.x == 0) {
    const int last_key = min(first_key + WindowTile<T, D>::kKeys, problem.tokens) - 1;
    range = viewers(problem, max(first_key, 0), last_key);
    range.begin = range.begin / kMmaM * kMmaM;
  }
  __syncthreads();
}

// ---------------------------------------------------------------------------------------------
// Scores of 16 rows and a warp's keys

/// One lane's scores: [t][0] and [t][1] of row lane / 4, [t][2] and [t][3] of that row + 8.
template <class T, int D>
using Scores = float[WindowTile<T, D>::kKeyGroups][4];

/// A warp's keys as the second operand of warp_mma, in registers.
/// The order of a sum of products is free as long as both operands follow it. So lane q of each
/// four lanes takes elements 8 q to 8 q + 7 of every 32 with one 16-byte load, for two steps of
/// warp_mma, rather than the scattered pairs that warp_mma's layout names.
template <class T, int D>
class WarpKeys {
  using Tile = WindowTile<T, D>;
  static constexpr int kSteps = D / kMmaK;

 public:
  /// Loads keys [first, first + kWarpKeys) of the block's tile; outside [0, n) others take their
  /// place, whose scores nobody reads.
  __device__ void load(const WindowProblem& problem, const T* keys, int first_key, T*) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
#pragma unroll
    for (int t = 0; t < Tile::kKeyGroups; ++t) {
      const int key = first_key + warp * Tile::kWarpKeys + t * kMmaN + lane / 4;
      const T* row = keys + min(max(key, 0), problem.tokens - 1) * problem.token_stride;
#pragma unroll
      for (int step = 0; step + 1 < kSteps; step += 2) {
        const auto words = __ldg(reinterpret_cast<const uint4*>(row + step * kMmaK + lane % 4 * 8));
        m_words[t][step][0] = words.x;
        m_words[t][step][1] = words.y;
        m_words[t][step + 1][0] = words.z;
        m_words[t][step + 1][1] = words.w;
      }
      if constexpr (kSteps % 2 != 0) {
        const auto words =
            __ldg(reinterpret_cast<const uint2*>(row + (kSteps - 1) * kMmaK + lane % 4 * 4));
        m_words[t][kSteps - 1][0] = words.x;
        m_words[t][kSteps - 1][1] = words.y;
      }
    }
  }

  /// q.k for the 16 rows that begin at `rows` in shared memory.
  __device__ void multiply(const T* rows, Scores<T, D>& scores) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const T* upper = rows + lane / 4 * Tile::kStride;
    const T* lower = upper + 8 * Tile::kStride;
#pragma unroll
    for (int t = 0; t < Tile::kKeyGroups; ++t) {
      scores[t][0] = scores[t][1] = scores[t][2] = scores[t][3] = 0.0F;
    }
#pragma unroll
    for (int step = 0; step + 1 < kSteps; step += 2) {
      const int offset = step * kMmaK + lane % 4 * 8;
      const uint4 u = *reinterpret_cast<const uint4*>(upper + offset);
      const uint4 l = *reinterpret_cast<const uint4*>(lower + offset);
      accumulate(step, {u.x, l.x, u.y, l.y}, scores);
      accumulate(step + 1, {u.z, l.z, u.w, l.w}, scores);
    }
    if constexpr (kSteps % 2 != 0) {
      const int offset = (kSteps - 1) * kMmaK + lane % 4 * 4;
      const uint2 u = *reinterpret_cast<const uint2*>(upper + offset);
      const uint2 l = *reinterpret_cast<const uint2*>(lower + offset);
      accumulate(kSteps - 1, {u.x, l.x, u.y, l.y}, scores);
    }
  }

 private:
  __device__ void accumulate(int step, const unsigned (&rows)[4], Scores<T, D>& scores) const {
#pragma unroll
    for (int t = 0; t < Tile::kKeyGroups; ++t) {
      warp_mma<T>(scores[t], rows, m_words[t][step]);
    }
  }

  unsigned m_words[Tile::kKeyGroups][kSteps][2];
};

/// A warp's keys in fp32, in shared memory: a lane sums the products of its own 2 rows and
/// 2 * kKeyGroups keys.
template <int D>
class WarpKeys<float, D> {
  using Tile = WindowTile<float, D>;

 public:
  /// Starts the copy of the block's keys, which ends with that of the first stage of rows.
  __device__ void load(const WindowProblem& problem, const float* keys, int first_key,
                       float* shared) {
    constexpr int kPieces = Tile::kRowBytes / 16;
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kKeys * kPieces; i += Tile::kThreads) {
      const int key = min(max(first_key + i / kPieces, 0), problem.tokens - 1);
      __pipeline_memcpy_async(shared + i / kPieces * Tile::kStride + i % kPieces * 4,
                              keys + key * problem.token_stride + i % kPieces * 4, 16);
    }
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    m_rows = shared + (warp * Tile::kWarpKeys + lane % 4 * 2) * Tile::kStride;
  }

  __device__ void multiply(const float* rows, Scores<float, D>& scores) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const float* upper = rows + lane / 4 * Tile::kStride;
    const float* lower = upper + 8 * Tile::kStride;
#pragma unroll
    for (int t = 0; t < Tile::kKeyGroups; ++t) {
      scores[t][0] = scores[t][1] = scores[t][2] = scores[t][3] = 0.0F;
    }
#pragma unroll 2
    for (int e = 0; e < D; e += 4) {
      const auto u = load16(upper + e);
      const auto l = load16(lower + e);
#pragma unroll
      for (int t = 0; t < Tile::kKeyGroups; ++t) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const auto k = load16(m_rows + (t * kMmaN + i) * Tile::kStride + e);
#pragma unroll
          for (int x = 0; x < 4; ++x) {
            scores[t][i] = fmaf(u.values[x], k.values[x], scores[t][i]);
            scores[t][2 + i] = fmaf(l.values[x], k.values[x], scores[t][2 + i]);
          }
        }
      }
    }
  }

 private:
  const float* m_rows = nullptr;
};

/// From q.k to what the softmax sees.
template <class T, int D>
__device__ inline void finish_scores(const WindowProblem& problem, Scores<T, D>& scores) {
#pragma unroll
  for (auto& of_keys : scores) {
#pragma unroll
    for (float& score : of_keys) {
      score *= problem.scale;
    }
  }
  if (problem.softcap > 0.0F) {
#pragma unroll
    for (auto& of_keys : scores) {
#pragma unroll
      for (float& score : of_keys) {
        score = apply_softcap(score, problem.softcap);
      }
    }
  }
}

/// exp(x) for x <= 0. The fast exponential's relative error, 1.2e-7 (2 + 1.2 |x|), is nothing next
/// to what rounding keys and queries to 16 bits has done to the scores.
template <class T>
__device__ inline float exponential(float x) {
  if constexpr (sizeof(T) == 2) {
    return __expf(x);
  } else {
    return expf(x);
  }
}

// ---------------------------------------------------------------------------------------------
// The rows' way through shared memory

/// Up to 16 queries of one member.
struct QueryStage {
  int member;
  int first_query;
};

/// The queries of a KV head's members, one stage after the other, member after member.
template <class T, int D>
class QueryStages {
  using Tile = WindowTile<T, D>;

 public:
  /// @param queries [heads, G, R, d], of which those of head blockIdx.y pass
  /// @param range the queries of each member that are wanted, at least one; in shared memory
  /// @param shared two stages of rows
  __device__ QueryStages(const WindowProblem& problem, const T* queries, const IndexRange& range,
                         T* shared)
      : m_problem(problem), m_queries(queries), m_range(range), m_shared(shared) {}

  /// Calls consume(stage, rows [16, kStride]) for each stage; all threads of the block call
  /// it together. Copies that the caller has started before are complete by then.
  template <class Consume>
  __device__ void for_each(const Consume& consume) const {
    int turn = 0;
    QueryStage next{0, m_range.begin};
    copy(next, turn);
    for (QueryStage stage = next; stage.member < m_problem.group; stage = next) {
      next = after(stage);
      __pipeline_wait_prior(0);
      __syncthreads();  // behind it, nobody reads the other buffer any more
      if (next.member < m_problem.group) {
        copy(next, turn + 1);
      }
      consume(stage, buffer(turn));
      ++turn;
    }
  }

 private:
  __device__ T* buffer(int turn) const { return m_shared + turn % 2 * (kMmaM * Tile::kStride); }

  __device__ QueryStage after(QueryStage stage) const {
    stage.first_query += kMmaM;
    return stage.first_query < m_range.end ? stage : QueryStage{stage.member + 1, m_range.begin};
  }

  /// Rows behind the member's last repeat it: they are multiplied too, and then ignored.
  __device__ void copy(const QueryStage& stage, int turn) const {
    constexpr int kPieces = Tile::kRowBytes / 16;
    constexpr int kPerPiece = Vector16<T>::kSize;
    const std::int64_t head = std::int64_t{blockIdx.y} * m_problem.group + stage.member;
    const T* member = m_queries + head * m_problem.queries * D;
    T* target = buffer(turn);
    for (int i = static_cast<int>(threadIdx.x); i < kMmaM * kPieces; i += Tile::kThreads) {
      const int query = min(stage.first_query + i / kPieces, m_problem.queries - 1);
      __pipeline_memcpy_async(target + i / kPieces * Tile::kStride + i % kPieces * kPerPiece,
                              member + std::int64_t{query} * D + i % kPieces * kPerPiece, 16);
    }
    __pipeline_commit();
  }

  const WindowProblem& m_problem;
  const T* m_queries;
  const IndexRange& m_range;
  T* m_shared;
};

/// First key of head blockIdx.y, counted over all sequences.
template <class T>
__device__ inline const T* keys_of_head(const WindowProblem& problem, const T* keys) {
  const auto head = static_cast<int>(blockIdx.y);
  return keys + head / problem.kv_heads * problem.sequence_stride +
         head % problem.kv_heads * problem.head_stride;
}

/// Rows of a KV head: its members' queries.
__device__ inline std::int64_t rows_of_head(const WindowProblem& problem) {
  return std::int64_t{problem.group} * problem.queries;
}

// ---------------------------------------------------------------------------------------------
// Launch 1: grid (tiles, heads)

/// Statistics of the lane's two rows over the keys of its warp; the four lanes of a row agree.
template <class T, int D>
__device__ inline void warp_statistics(const WindowProblem& problem, int query, int first_key,
                                       Scores<T, D>& scores, RowStatistics (&statistics)[2]) {
  using Tile = WindowTile<T, D>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int lane_key = first_key + lane % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = min(query + lane / 4 + 8 * half, problem.queries - 1);
    const IndexRange seen = visible_keys(problem, __ldg(problem.positions + row), lane_key);
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < 2 * Tile::kKeyGroups; ++i) {
      float& score = scores[i / 2][2 * half + i % 2];
      const int key = i / 2 * kMmaN + i % 2;
      score = key >= seen.begin && key < seen.end ? score : -INFINITY;
      largest = fmaxf(largest, score);
    }
    largest = fmaxf(largest, __shfl_xor_sync(kFullMask, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(kFullMask, largest, 2));
    // -inf less -inf would be NaN.
    const float shift = largest == -INFINITY ? 0.0F : largest;
    float sum = 0.0F;
#pragma unroll
    for (int i = 0; i < 2 * Tile::kKeyGroups; ++i) {
      sum += exponential<T>(scores[i / 2][2 * half + i % 2] - shift);
    }
    sum += __shfl_xor_sync(kFullMask, sum, 1);
    sum += __shfl_xor_sync(kFullMask, sum, 2);
    statistics[half] = {largest, sum};
  }
}

/// Joins statistics of disjoint sets of keys, `count` of them `stride` apart.
__device__ inline RowStatistics join(const RowStatistics* parts, int count, int stride) {
  float largest = -INFINITY;
  for (int i = 0; i < count; ++i) {
    largest = fmaxf(largest, parts[i * stride].largest);
  }
  float sum = 0.0F;
  for (int i = 0; i < count; ++i) {
    const RowStatistics part = parts[i * stride];
    sum += part.sum > 0.0F ? part.sum * expf(part.largest - largest) : 0.0F;
  }
  return {largest, sum};
}

/// @param queries [heads, G, R, d]
/// @param tiles [heads, tiles, G * R]; rows that see no key of a tile may stay unwritten
template <class T, int D>
__global__ void __launch_bounds__(WindowTile<T, D>::kThreads, WindowTile<T, D>::kBlocksPerSm)
    row_statistics_kernel(WindowProblem problem, const T* queries, const T* keys,
                          RowStatistics* tiles) {
  using Tile = WindowTile<T, D>;
  __shared__ RowStatistics of_warps[Tile::kWarps][kMmaM];
  T* shared = dynamic_shared<T>();
  const int first_key = static_cast<int>(blockIdx.x) * Tile::kKeys;
  __shared__ IndexRange range;
  find_tile_viewers<T, D>(problem, first_key, range);
  if (range.begin >= range.end) {
    return;
  }
  WarpKeys<T, D> warp_keys;
  warp_keys.load(problem, keys_of_head(problem, keys), first_key,
                 shared + 2 * kMmaM * Tile::kStride);

  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const QueryStages<T, D> stages(problem, queries, range, shared);
  stages.for_each([&](const QueryStage& stage, const T* rows) {
    Scores<T, D> scores;
    RowStatistics statistics[2];
    warp_keys.multiply(rows, scores);
    finish_scores<T, D>(problem, scores);
    warp_statistics<T, D>(problem, stage.first_query, first_key + warp * Tile::kWarpKeys, scores,
                          statistics);
    if (lane % 4 == 0) {
      of_warps[warp][lane / 4] = statistics[0];
      of_warps[warp][lane / 4 + 8] = statistics[1];
    }
    __syncthreads();
    const auto row = static_cast<int>(threadIdx.x);
    if (row < kMmaM && stage.first_query + row < range.end) {
      const std::int64_t tile = std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
      tiles[(tile * problem.group + stage.member) * problem.queries + stage.first_query + row] =
          join(&of_warps[0][row], Tile::kWarps, kMmaM);
    }
  });
}

// ---------------------------------------------------------------------------------------------
// Launch 2: grid (rows / kMergeRows, heads); thread (row, slot), the tiles of a row go round the
// slots, so that a warp reads neighbouring rows of one tile.

inline constexpr int kMergeRows = 32;
inline constexpr int kMergeSlots = 8;

/// @param tiles [heads, tile_count, G * R] as launch 1 leaves it
/// @param rows [heads, G * R]
__global__ void __launch_bounds__(kMergeRows* kMergeSlots)
    merge_statistics_kernel(WindowProblem problem, int tile_keys, int tile_count,
                            const RowStatistics* tiles, RowStatistics* rows) {
  __shared__ float shared[kMergeSlots][kMergeRows];
  const auto lane = static_cast<int>(threadIdx.x);
  const auto slot = static_cast<int>(threadIdx.y);
  const std::int64_t count = rows_of_head(problem);
  const std::int64_t row = std::int64_t{blockIdx.x} * kMergeRows + lane;
  const std::int64_t known_row = row < count ? row : count - 1;
  const IndexRange seen = visible_keys(
      problem, __ldg(problem.positions + static_cast<int>(known_row % problem.queries)));
  // Launch 1 wrote the tiles in which the row sees a key, maybe no others.
  const int first_tile = seen.begin / tile_keys + slot;
  const int end_tile = seen.begin < seen.end ? (seen.end - 1) / tile_keys + 1 : 0;
  const RowStatistics* of_row = tiles + std::int64_t{blockIdx.y} * tile_count * count + known_row;

  float largest = -INFINITY;
  for (int tile = first_tile; tile < end_tile; tile += kMergeSlots) {
    largest = fmaxf(largest, of_row[tile * count].largest);
  }
  shared[slot][lane] = largest;
  __syncthreads();
  for (int other = 0; other < kMergeSlots; ++other) {
    largest = fmaxf(largest, shared[other][lane]);
  }
  __syncthreads();

  float sum = 0.0F;
  for (int tile = first_tile; tile < end_tile; tile += kMergeSlots) {
    const RowStatistics part = of_row[tile * count];
    sum += part.sum > 0.0F ? part.sum * expf(part.largest - largest) : 0.0F;
  }
  shared[slot][lane] = sum;
  __syncthreads();
  if (slot == 0 && row < count) {
    float total = 0.0F;
    for (int other = 0; other < kMergeSlots; ++other) {
      total += shared[other][lane];
    }
    rows[blockIdx.y * count + row] = {largest, total > 0.0F ? 1.0F / total : 0.0F};
  }
}

// ---------------------------------------------------------------------------------------------
// Launch 3: grid (tiles of columns, heads)

/// Adds the weights of 16 rows to the lane's columns.
template <class T, int D>
__device__ inline void add_weights(const WindowProblem& problem, int query, int first_key,
                                   const RowStatistics* member_rows, const Scores<T, D>& scores,
                                   float (&columns)[2 * WindowTile<T, D>::kKeyGroups]) {
  using Tile = WindowTile<T, D>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int lane_key = first_key + lane % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = query + lane / 4 + 8 * half;
    const int known_row = min(row, problem.queries - 1);
    const RowStatistics statistics = member_rows[known_row];
    IndexRange seen = visible_keys(problem, __ldg(problem.positions + known_row), lane_key);
    seen.end = row < problem.queries ? seen.end : seen.begin;
#pragma unroll
    for (int i = 0; i < 2 * Tile::kKeyGroups; ++i) {
      const int key = i / 2 * kMmaN + i % 2;
      const float score = scores[i / 2][2 * half + i % 2];
      columns[i] += key >= seen.begin && key < seen.end
                        ? exponential<T>(score - statistics.largest) * statistics.sum
                        : 0.0F;
    }
  }
}

/// Sums over the lanes that hold the same columns, and stores them.
template <class T, int D>
__device__ inline void store_columns(float (&columns)[2 * WindowTile<T, D>::kKeyGroups],
                                     float* sums) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int i = 0; i < 2 * WindowTile<T, D>::kKeyGroups; ++i) {
    for (int offset = 4; offset < kWarpSize; offset *= 2) {
      columns[i] += __shfl_xor_sync(kFullMask, columns[i], offset);
    }
    if (lane < 4) {
      sums[i / 2 * kMmaN + lane * 2 + i % 2] = columns[i];
    }
    columns[i] = 0.0F;
  }
}

/// One key's sums over queries become means; with one unit a KV head, member 0's becomes the
/// group's, in reduce_group's own order and rounding, so that what ties on the host ties here.
/// `sums` points at the key's of member 0, members are `stride` apart.
__device__ inline void finish_column(const WindowProblem& problem, const ScoreStages& stages,
                                     int key, float* sums, int stride) {
  const IndexRange seen_by = viewers(problem, key, key);
  const int count = seen_by.end - seen_by.begin;
  float reduced = 0.0F;
  for (int member = 0; member < problem.group; ++member) {
    float& sum = sums[member * stride];
    sum = count > 0 ? sum / static_cast<float>(count) : 0.0F;
    reduced = stages.reduce == GroupReduce::kMean ? reduced + sum : fmaxf(reduced, sum);
  }
  if (stages.by_kv_head) {
    sums[0] = stages.reduce == GroupReduce::kMean
                  ? reduced * (1.0F / static_cast<float>(problem.group))
                  : reduced;
  }
}

/// Pools around `key` with pool_scores's rounding; values[i] is the value of key `first_key` + i.
__device__ inline float pool(const WindowProblem& problem, const ScoreStages& stages, int key,
                             int first_key, const float* values) {
  const int begin = max(key - stages.reach, 0);
  const int end = min(key + stages.reach + 1, problem.scored_tokens);
  float value = values[begin - first_key];
  for (int i = begin + 1; i < end; ++i) {
    const float next = values[i - first_key];
    value = stages.pooling == Pooling::Kind::kMax ? fmaxf(value, next) : value + next;
  }
  return stages.pooling == Pooling::Kind::kAverage
             ? value * (1.0F / static_cast<float>(stages.pooling_kernel))
             : value;
}

/// @param rows [heads, G * R] as launch 2 leaves it
/// @param scores [units, m]
template <class T, int D>
__global__ void __launch_bounds__(WindowTile<T, D>::kThreads, WindowTile<T, D>::kBlocksPerSm)
    column_scores_kernel(WindowProblem problem, ScoreStages score_stages, const T* queries,
                         const T* keys, const RowStatistics* rows, float* scores) {
  using Tile = WindowTile<T, D>;
  __shared__ float sums[kDeviceMaxGroup][Tile::kKeys];
  T* shared = dynamic_shared<T>();
  const int first_key =
      static_cast<int>(blockIdx.x) * score_stages.tile_columns - score_stages.reach;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int warp_key = warp * Tile::kWarpKeys;

  __shared__ IndexRange range;
  find_tile_viewers<T, D>(problem, first_key, range);
  if (range.begin < range.end) {
    WarpKeys<T, D> warp_keys;
    warp_keys.load(problem, keys_of_head(problem, keys), first_key,
                   shared + 2 * kMmaM * Tile::kStride);
    float columns[2 * Tile::kKeyGroups] = {};
    const QueryStages<T, D> stages(problem, queries, range, shared);
    stages.for_each([&](const QueryStage& stage, const T* stage_rows) {
      const RowStatistics* member_rows =
          rows + (std::int64_t{blockIdx.y} * problem.group + stage.member) * problem.queries;
      Scores<T, D> scores_of_rows;
      warp_keys.multiply(stage_rows, scores_of_rows);
      finish_scores<T, D>(problem, scores_of_rows);
      add_weights<T, D>(problem, stage.first_query, first_key + warp_key, member_rows,
                        scores_of_rows, columns);
      if (stage.first_query + kMmaM >= range.end) {
        store_columns<T, D>(columns, &sums[stage.member][warp_key]);
      }
    });
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kKeys; i += Tile::kThreads) {
    if (first_key + i >= 0 && first_key + i < problem.scored_tokens) {
      finish_column(problem, score_stages, first_key + i, &sums[0][i], Tile::kKeys);
    }
  }
  __syncthreads();
  const int units = score_stages.by_kv_head ? 1 : problem.group;
  for (int i = static_cast<int>(threadIdx.x); i < units * score_stages.tile_columns;
       i += Tile::kThreads) {
    const int unit = i / score_stages.tile_columns;
    const int key = first_key + score_stages.reach + i % score_stages.tile_columns;
    if (key < problem.scored_tokens) {
      scores[(std::int64_t{blockIdx.y} * units + unit) * problem.scored_tokens + key] =
          pool(problem, score_stages, key, first_key, sums[unit]);
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
