#pragma once
// The nearest codeword of each row, tile by tile: a product of rows with a table's weights of which
// only the running minimum of b_m - (x - c~) . w_m is kept.
//
// Idea. A block holds its rows, channels outermost, in shared memory for the whole search, and
// streams the table past them in slices of 16 channels of 128 codewords. While a slice is
// multiplied, cp.async brings the next one to the other of two buffers; one barrier a slice.
// Layout: thread = (row group, codeword group). Rows 4r .. 4r + 3 and half the block's rows further
// on, codewords 4c .. 4c + 3 and 64 further on: 64 sums in registers for four 16-byte loads a
// channel, and 16 more registers for the minima. Threads without a row only copy.
// Blocks have 128 rows, 64 where d is 256: up to 80 KiB of shared memory, so two to a
// multiprocessor. Bytes a block: its rows once, the table with its padding once (4 d C, from L2
// after the first block) for rows * d * C FMAs; a warp reads 4 C of biases and 2 d of c~.
//
// Sums run over channels in ascending order, one FMA each, whatever the tile, and minima are taken
// by (distance, codeword), so results do not depend on how rows are cut into blocks. A row with a
// NaN gets codeword 0.

#include "a2ats/codeword_table_device.h"
#include "exec/device/load4.cuh"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kSearchChannels = 16;
inline constexpr int kSearchColumns = static_cast<int>(kSearchCodewords);
inline constexpr int kSearchColumnGroups = 16;
// Rows and codewords of a thread, in two groups of four.
inline constexpr int kSearchThreadRows = 8;
inline constexpr int kSearchThreadColumns = 8;

static_assert(kSearchColumns == kSearchColumnGroups * kSearchThreadColumns);

template <int kHeadDim>
inline constexpr int kSearchRows = kHeadDim <= 128 ? 128 : 64;
template <int kHeadDim>
inline constexpr int kSearchThreads =
    kSearchRows<kHeadDim> / kSearchThreadRows* kSearchColumnGroups;

template <int kHeadDim>
struct SearchShared {
  alignas(16) float rows[kHeadDim][kSearchRows<kHeadDim>];
  alignas(16) float weights[2][kSearchChannels][kSearchColumns];
  unsigned nearest[kSearchRows<kHeadDim>];
  float margins[kSearchRows<kHeadDim>];
};

/// A distance and its codeword as one number that orders by distance, then codeword.
using Candidate = unsigned long long;

/// Of a distance that is a number below infinity; otherwise what loses against all others.
__device__ inline Candidate make_candidate(float distance, unsigned codeword) {
  return distance < INFINITY ? static_cast<Candidate>(rank_key(distance)) << 32U | codeword
                             : static_cast<Candidate>(rank_key(INFINITY)) << 32U;
}
__device__ inline unsigned codeword_of(Candidate candidate) {
  return static_cast<unsigned>(candidate);
}

/// One codebook of a table.
struct SearchTable {
  const float* weights;  ///< [d, padded]
  const float* biases;   ///< [padded]
  const float* center;   ///< [d]
  int padded;
};
__device__ inline SearchTable codebook_of(const CodewordTable& table, std::int64_t kv_head) {
  const std::int64_t padded = padded_codewords(table.codewords);
  return {table.weights + kv_head * table.head_dim * padded, table.biases + kv_head * padded,
          table.centers + kv_head * table.head_dim, static_cast<int>(padded)};
}

/// x - c~ of the rows to shared memory, channels outermost; rows from row_count on repeat the last.
/// Addresses and stride are multiples of 16 bytes.
template <int kHeadDim, class X>
__device__ inline void load_search_rows(const X* rows, std::int64_t stride, int row_count,
                                        const float* center, SearchShared<kHeadDim>& shared) {
  constexpr int kRows = kSearchRows<kHeadDim>;
  constexpr int kSize = Vector16<X>::kSize;
  const int row = static_cast<int>(threadIdx.x) % kRows;
  const X* source = rows + min(row, row_count - 1) * stride;
  // Neighbouring threads take neighbouring rows: their stores go to different banks.
  for (int t = static_cast<int>(threadIdx.x) / kRows * kSize; t < kHeadDim;
       t += kSearchThreads<kHeadDim> / kRows * kSize) {
    const Vector16<X> vector = load16(source + t);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      shared.rows[t + i][row] = to_float(vector.values[i]) - center[t + i];
    }
  }
}

/// Starts the copy of the slice of 16 channels from `channel` on and 128 codewords from `codeword`
/// on to a buffer.
template <int kHeadDim>
__device__ inline void fetch_search_slice(const SearchTable& table, int codeword, int channel,
                                          int buffer, SearchShared<kHeadDim>& shared) {
  constexpr int kRowCopies = kSearchColumns / 4;
  const float* source =
      table.weights + static_cast<std::int64_t>(channel) * table.padded + codeword;
#pragma unroll
  for (int i = 0; i < kSearchChannels * kRowCopies / kSearchThreads<kHeadDim>; ++i) {
    const int copy = static_cast<int>(threadIdx.x) + i * kSearchThreads<kHeadDim>;
    const int row = copy / kRowCopies;
    const int column = copy % kRowCopies * 4;
    __pipeline_memcpy_async(&shared.weights[buffer][row][column],
                            source + static_cast<std::int64_t>(row) * table.padded + column, 16);
  }
  __pipeline_commit();
}

using SearchSums = float[kSearchThreadRows][kSearchThreadColumns];

/// sums += the rows' channels from `first_channel` on times a slice.
template <int kHeadDim>
__device__ inline void multiply_search_slice(const SearchShared<kHeadDim>& shared, int buffer,
                                             int first_channel, SearchSums& sums) {
  const int row = static_cast<int>(threadIdx.x) / kSearchColumnGroups * 4;
  const int column = static_cast<int>(threadIdx.x) % kSearchColumnGroups * 4;
// Unrolled further, two blocks no longer fit the registers of a multiprocessor.
#pragma unroll 2
  for (int k = 0; k < kSearchChannels; ++k) {
    float x[2][4];
    load4(&shared.rows[first_channel + k][row], x[0]);
    load4(&shared.rows[first_channel + k][row + kSearchRows<kHeadDim> / 2], x[1]);
    float w[2][4];
    load4(&shared.weights[buffer][k][column], w[0]);
    load4(&shared.weights[buffer][k][column + kSearchColumns / 2], w[1]);
#pragma unroll
    for (int r = 0; r < kSearchThreadRows; ++r) {
#pragma unroll
      for (int c = 0; c < kSearchThreadColumns; ++c) {
        sums[r][c] = fmaf(x[r / 4][r % 4], w[c / 4][c % 4], sums[r][c]);
      }
    }
  }
}

/// A thread's running minima, one a row.
struct SearchMinima {
  float distance[kSearchThreadRows];
  unsigned codeword[kSearchThreadRows];
  float second[kSearchThreadRows];  ///< the lowest distance of another codeword, if wanted
};

/// Takes in the sums of the codewords from first_codeword on, and sets them back to 0.
template <bool kMargins>
__device__ inline void compare_search_sums(const float* biases, int first_codeword,
                                           SearchSums& sums, SearchMinima& minima) {
  const int column = first_codeword + static_cast<int>(threadIdx.x) % kSearchColumnGroups * 4;
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    float bias[4];
    load4(biases + column + side * kSearchColumns / 2, bias);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const auto codeword = static_cast<unsigned>(column + side * kSearchColumns / 2 + c);
#pragma unroll
      for (int r = 0; r < kSearchThreadRows; ++r) {
        const float distance = bias[c] - sums[r][side * 4 + c];
        if constexpr (kMargins) {
          minima.second[r] = fminf(minima.second[r], fmaxf(distance, minima.distance[r]));
        }
        // A thread meets its codewords in ascending order: the lowest stays in a tie.
        if (distance < minima.distance[r]) {
          minima.distance[r] = distance;
          minima.codeword[r] = codeword;
        }
        sums[r][side * 4 + c] = 0.0F;
      }
    }
  }
}

/// shared.nearest[r] = the nearest codeword of row r < row_count, for all threads of the block;
/// with kMargins, shared.margins[r] = how much farther the second nearest is, as fp32 has it.
template <bool kMargins, int kHeadDim, class X>
__device__ inline void find_nearest(const X* rows, std::int64_t stride, int row_count,
                                    const SearchTable& table, SearchShared<kHeadDim>& shared) {
  const int group_row = static_cast<int>(threadIdx.x) / kSearchColumnGroups * 4;
  const bool has_rows = group_row < row_count;
  fetch_search_slice(table, 0, 0, 0, shared);
  load_search_rows(rows, stride, row_count, table.center, shared);
  SearchSums sums = {};
  SearchMinima minima;
#pragma unroll
  for (int r = 0; r < kSearchThreadRows; ++r) {
    minima.distance[r] = INFINITY;
    minima.codeword[r] = 0;
    minima.second[r] = INFINITY;
  }
  int buffer = 0;
#pragma unroll 1
  for (int codeword = 0; codeword < table.padded; codeword += kSearchColumns) {
#pragma unroll 1
    for (int channel = 0; channel < kHeadDim; channel += kSearchChannels) {
      __pipeline_wait_prior(0);
      // Also: everyone has done with the buffer that the next slice goes to.
      __syncthreads();
      if (channel + kSearchChannels < kHeadDim) {
        fetch_search_slice(table, codeword, channel + kSearchChannels, 1 - buffer, shared);
      } else if (codeword + kSearchColumns < table.padded) {
        fetch_search_slice(table, codeword + kSearchColumns, 0, 1 - buffer, shared);
      }
      if (has_rows) {
        multiply_search_slice(shared, buffer, channel, sums);
      }
      buffer = 1 - buffer;
    }
    if (has_rows) {
      compare_search_sums<kMargins>(table.biases, codeword, sums, minima);
    }
  }
#pragma unroll
  for (int r = 0; r < kSearchThreadRows; ++r) {
    const int row = group_row + r % 4 + r / 4 * kSearchRows<kHeadDim> / 2;
    const Candidate best = lanes_reduce<kSearchColumnGroups / 2, 1>(
        make_candidate(minima.distance[r], minima.codeword[r]),
        [](Candidate a, Candidate b) { return a < b ? a : b; });
    if (threadIdx.x % kSearchColumnGroups == 0) {
      shared.nearest[row] = codeword_of(best);
    }
    if constexpr (kMargins) {
      // Where this thread has the nearest codeword, the second nearest is what it can offer.
      const float least = -lanes_max<kSearchColumnGroups / 2>(-minima.distance[r]);
      const float other =
          codeword_of(best) == minima.codeword[r] ? minima.second[r] : minima.distance[r];
      const float second = -lanes_max<kSearchColumnGroups / 2>(-other);
      if (threadIdx.x % kSearchColumnGroups == 0) {
        shared.margins[row] = second - least;
      }
    }
  }
  __syncthreads();
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
