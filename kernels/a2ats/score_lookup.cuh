#pragma once
// Approximate scores: a table of query times codeword products, then a gather by code.
//
// The idea: every token's score is one of C values, so a query meets each codeword once, not each
// key. A block of score_table_kernel multiplies a tile of codewords of one KV head by the queries
// of the head's group and, in a batch, of other sequences: codewords are shared by all of them, so
// they are read once for up to kMaxTableRows rows.
//
// Layout of score_table_kernel: 64 threads a half, half the rows each. A thread owns codewords c
// and c + 64 of 128 and the half's rows, all sums in registers. Slices of 16 channels of the
// codewords travel by cp.async, kStages - 1 ahead of the computation; a codeword's slice takes an
// odd number of 16-byte vectors in shared memory, so that a quarter-warp's loads hit different
// banks. Rows lie in shared memory whole and are read by all lanes at once.
// Channels are added in ascending order with fused multiply-add: a table entry does not depend on
// its tile, on the other rows or on the batch.
// Bytes a block: 128 d codeword elements, 4 d a row, 4 written a row and codeword.
// Limits: d a multiple of 16 up to 256, C up to 65536.
//
// Layout of lookup_scores_kernel: a block has kLookupTokens tokens of one segment; a thread takes
// every kLookupThreads-th of them, so that a warp reads and writes neighbours. The group's tables
// are copied to shared memory, where random reads cost bank conflicts alone; tables that do not fit
// are read through the caches.
// Bytes a block: 2 a token, 4 written a token and query head, 4 C G of tables from L2.

#include "exec/device/device.cuh"
#include "exec/device/load4.cuh"
#include "exec/device/numeric.cuh"
#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kTableThreads = 128;
inline constexpr int kTableCodewords = 128;
inline constexpr int kTableSlice = 16;
inline constexpr int kMaxTableRows = 8;
inline constexpr int kMaxTableDim = 256;

struct TableProblem {
  const float* queries;   ///< [S, G, d]
  std::int64_t kv_heads;  ///< Hkv
  std::int64_t rows;      ///< of a KV head: sequences * G
  int group;
  int codewords;  ///< C
  int head_dim;
  unsigned codeword_blocks;  ///< tiles of a KV head
  unsigned row_blocks;       ///< tiles of its rows
  float scale;
  float softcap;  ///< 0 for none
  float* table;   ///< [S, G, C]
};

/// How codewords of type T go through shared memory.
template <class T>
struct TableStages {
  static constexpr int kVectors = kTableSlice / Vector16<T>::kSize;  ///< of a codeword's slice
  static constexpr int kStride = (kVectors + 1) * Vector16<T>::kSize;
  static constexpr int kStages = sizeof(T) == 2 ? 4 : 3;
  static constexpr int kThreadVectors = kTableCodewords * kVectors / kTableThreads;
  static_assert((kVectors + 1) % 2 == 1);
};

template <class T, int Rows>
struct TableShared {
  alignas(16) T stages[TableStages<T>::kStages][kTableCodewords * TableStages<T>::kStride];
  alignas(16) float rows[Rows][kMaxTableDim];
};

/// Starts the copy of one slice of the tile's codewords. Codewords past C repeat the last.
template <class T>
__device__ inline void fetch_slice(const TableProblem& problem, const T* codewords, int first,
                                   int slice, T* stage) {
  using Stages = TableStages<T>;
#pragma unroll
  for (int i = 0; i < Stages::kThreadVectors; ++i) {
    const int vector = i * kTableThreads + static_cast<int>(threadIdx.x);
    const int row = vector / Stages::kVectors;
    const int channel = vector % Stages::kVectors * Vector16<T>::kSize;
    const std::int64_t codeword = min(first + row, problem.codewords - 1);
    __pipeline_memcpy_async(stage + row * Stages::kStride + channel,
                            codewords + codeword * problem.head_dim + slice * kTableSlice + channel,
                            16);
  }
}

/// Row r of a KV head's rows [sequences, G] as a row of all [S, G].
__device__ inline std::int64_t table_row(const TableProblem& problem, std::int64_t kv_head,
                                         std::int64_t r) {
  return (r / problem.group * problem.kv_heads + kv_head) * problem.group + r % problem.group;
}

/// @param codewords [Hkv, C, d], aligned to 16 bytes
template <class T, int Rows>
__global__ void __launch_bounds__(kTableThreads)
    score_table_kernel(TableProblem problem, const T* codewords) {
  using Stages = TableStages<T>;
  constexpr int kHalfRows = Rows / 2;
  constexpr int kSize = Vector16<T>::kSize;
  __shared__ TableShared<T, Rows> shared;
  const unsigned tile = blockIdx.x % problem.codeword_blocks;
  const unsigned row_tile = blockIdx.x / problem.codeword_blocks % problem.row_blocks;
  const std::int64_t kv_head = blockIdx.x / problem.codeword_blocks / problem.row_blocks;
  const int first = static_cast<int>(tile) * kTableCodewords;
  const std::int64_t first_row = std::int64_t{row_tile} * Rows;
  const int slices = problem.head_dim / kTableSlice;
  codewords += kv_head * problem.codewords * problem.head_dim;

  for (int i = 0; i < Stages::kStages - 1; ++i) {
    if (i < slices) {
      fetch_slice(problem, codewords, first, i, shared.stages[i]);
    }
    __pipeline_commit();
  }
#pragma unroll 1
  for (int r = 0; r < Rows; ++r) {
    // Rows past the last repeat it; they are not stored.
    const float* query =
        problem.queries +
        table_row(problem, kv_head, min(first_row + r, problem.rows - 1)) * problem.head_dim;
    for (int t = static_cast<int>(threadIdx.x); t < problem.head_dim; t += kTableThreads) {
      shared.rows[r][t] = query[t];
    }
  }

  const int own = static_cast<int>(threadIdx.x) % (kTableThreads / 2);
  const int own_row = static_cast<int>(threadIdx.x) / (kTableThreads / 2) * kHalfRows;
  float sums[2][kHalfRows] = {};
#pragma unroll 1
  for (int slice = 0; slice < slices; ++slice) {
    __pipeline_wait_prior(Stages::kStages - 2);
    // Every thread's part of this slice is there, and the buffer of the one before is free.
    __syncthreads();
    const int ahead = slice + Stages::kStages - 1;
    if (ahead < slices) {
      fetch_slice(problem, codewords, first, ahead, shared.stages[ahead % Stages::kStages]);
    }
    __pipeline_commit();
    const T* stage = shared.stages[slice % Stages::kStages];
#pragma unroll
    for (int t = 0; t < kTableSlice; t += kSize) {
      const Vector16<T> low = load16(stage + own * Stages::kStride + t);
      const Vector16<T> high = load16(stage + (own + kTableThreads / 2) * Stages::kStride + t);
#pragma unroll
      for (int r = 0; r < kHalfRows; ++r) {
#pragma unroll
        for (int piece = 0; piece < kSize; piece += 4) {
          float q[4];
          load4(&shared.rows[own_row + r][slice * kTableSlice + t + piece], q);
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            sums[0][r] = fmaf(q[i], to_float(low.values[piece + i]), sums[0][r]);
            sums[1][r] = fmaf(q[i], to_float(high.values[piece + i]), sums[1][r]);
          }
        }
      }
    }
  }

#pragma unroll
  for (int r = 0; r < kHalfRows; ++r) {
    const std::int64_t row = first_row + own_row + r;
    if (row >= problem.rows) {
      break;
    }
    float* table = problem.table + table_row(problem, kv_head, row) * problem.codewords;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int codeword = first + own + c * (kTableThreads / 2);
      const float score = problem.scale * sums[c][r];
      if (codeword < problem.codewords) {
        table[codeword] = problem.softcap > 0.0F ? apply_softcap(score, problem.softcap) : score;
      }
    }
  }
}

inline constexpr int kLookupThreads = 256;
/// Enough to outweigh the copy of a 64 KiB table, few enough to fill a GPU with 8 segments.
inline constexpr int kLookupTokens = 8192;
/// Tokens that a thread has in flight.
inline constexpr int kLookupUnroll = 4;

struct LookupProblem {
  const float* table;          ///< [S, G, C]
  const std::uint16_t* codes;  ///< [S, codes_stride]
  std::int64_t codes_stride;
  int group;
  int codewords;
  TokenRange range;
  unsigned token_blocks;  ///< a segment
  float* scores;          ///< [S, G, stride]
  std::int64_t stride;
};

template <bool Shared>
__global__ void __launch_bounds__(kLookupThreads) lookup_scores_kernel(LookupProblem problem) {
  const std::int64_t segment = blockIdx.x / problem.token_blocks;
  const float* table = problem.table + segment * problem.group * problem.codewords;
  if constexpr (Shared) {
    auto* shared = dynamic_shared<float>();
    for (int i = static_cast<int>(threadIdx.x); i < problem.group * problem.codewords;
         i += kLookupThreads) {
      shared[i] = table[i];
    }
    __syncthreads();
    table = shared;
  }
  const std::uint16_t* codes = problem.codes + segment * problem.codes_stride;
  float* scores = problem.scores + segment * problem.group * problem.stride;
  const std::int64_t first =
      problem.range.begin + std::int64_t{blockIdx.x % problem.token_blocks} * kLookupTokens;
  const std::int64_t last = min(first + kLookupTokens, problem.range.end);
  for (std::int64_t j = first + threadIdx.x; j < last; j += kLookupUnroll * kLookupThreads) {
    int own[kLookupUnroll];
#pragma unroll
    for (int u = 0; u < kLookupUnroll; ++u) {
      own[u] = j + u * kLookupThreads < last ? codes[j + u * kLookupThreads] : 0;
    }
    for (int g = 0; g < problem.group; ++g) {
      float* row = scores + g * problem.stride;
#pragma unroll
      for (int u = 0; u < kLookupUnroll; ++u) {
        const float score = table[g * problem.codewords + own[u]];
        if (j + u * kLookupThreads < last) {
          row[j + u * kLookupThreads] = score;
        }
      }
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
