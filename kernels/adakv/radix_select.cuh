#pragma once
// Finding the k-th largest key of a row, and visiting a row in order with each key's rank.
//
// The idea: scores map to unsigned keys that order as they do (rank_key). Three passes over the
// row count digits of 11, 11 and 10 bits; the digit in which the k-th largest key lies narrows the
// next pass to the keys that share it. Counts are integers, so no order of blocks, warps or atomics
// changes a result. Ties go to the lower or to the higher tokens: a visit in order carries how many
// equal keys it has passed.
//
// Layout: a block of kSelectThreads threads reads a chunk of a row. Rows begin anywhere: places
// are counted from the 16-byte boundary at or before the row's first token, so that every load
// inside the row is one 128-bit vector of four keys and only its two ends are read singly.
// Bytes a block: 4 a token of its chunk and a pass; its 8 KiB histogram stays in shared memory and
// only the bins in use are added to the row's histogram in global memory.
// Limits: rows of at most kSelectMaxTokens tokens.

#include "adakv/radix_select_shape.h"
#include "exec/device/device.cuh"
#include "exec/device/numeric.cuh"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kSelectWarps = kSelectThreads / kWarpSize;
inline constexpr unsigned kVector = kSelectVectorTokens;
/// Vectors that a thread has in flight.
inline constexpr int kSelectUnroll = 4;
/// Places that a block reads at once with one vector a thread, and with all of them.
inline constexpr unsigned kTile = kSelectThreads * kVector;
inline constexpr unsigned kTileGroup = kTile * kSelectUnroll;

/// A score that may be NaN, which ranks below every number.
struct AnyScore {
  float value;
};

/// The key of a score, or a key as it is.
__device__ inline unsigned to_key(float score) {
  return rank_key(score);
}
__device__ inline unsigned to_key(AnyScore score) {
  return score.value != score.value ? 0U : rank_key(score.value);
}
__device__ inline unsigned to_key(unsigned key) {
  return key;
}
/// The score of a key of rank_key, +0 for both zeros.
__device__ inline float to_score(unsigned key) {
  return __uint_as_float((key & 0x80000000U) != 0 ? key ^ 0x80000000U : ~key);
}

/// The bits that a pass counts.
template <int Pass>
struct Digit {
  static constexpr int kBits = kSelectDigitBits[Pass];
  static constexpr int kBins = 1 << kBits;
  static constexpr int kShift = Pass == 0 ? 21 : Pass == 1 ? 10 : 0;
  /// First bin of the pass in a row's kSelectRowBins.
  static constexpr int kRowOffset = Pass * kSelectMaxBins;

  __device__ static unsigned of(unsigned key) { return (key >> kShift) & (kBins - 1U); }
  /// Whether the digits above this one are those of `prefix`.
  __device__ static bool follows(unsigned key, unsigned prefix) {
    if constexpr (Pass == 0) {
      return true;
    } else {
      return (key ^ prefix) >> (kShift + kBits) == 0;
    }
  }
};

/// Part of a row of scores or keys. Place p is token p - shift.
template <class T>
struct RowChunk {
  const T* base;   ///< aligned to 16 bytes
  unsigned shift;  ///< places before the row's first token, 0 to 3
  unsigned begin;  ///< where reading starts, a multiple of kVector
  unsigned first;  ///< first and end of the places that are tokens of the chunk
  unsigned last;
};

template <class T>
__device__ inline RowChunk<T> chunk_of_row(const T* row, unsigned m, unsigned chunk,
                                           unsigned chunk_tokens) {
  static_assert(sizeof(T) == 4);
  RowChunk<T> result;
  result.shift = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(row) / sizeof(T)) % kVector;
  result.base = row - result.shift;
  result.begin = chunk * chunk_tokens;
  result.first = max(result.begin, result.shift);
  result.last = min(result.begin + chunk_tokens, result.shift + m);
  return result;
}

/// Four consecutive keys; bit i of `valid` tells whether key i is a token of the chunk.
struct KeyVector {
  unsigned keys[kVector];
  unsigned valid;
};

template <class T>
__device__ inline KeyVector load_keys(const RowChunk<T>& chunk, unsigned place) {
  KeyVector result;
  if (place >= chunk.first && place + kVector <= chunk.last) {
    const Vector16<T> vector = load16(chunk.base + place);
    for (unsigned i = 0; i < kVector; ++i) {
      result.keys[i] = to_key(vector.values[i]);
    }
    result.valid = (1U << kVector) - 1;
    return result;
  }
  result.valid = 0;
  for (unsigned i = 0; i < kVector; ++i) {
    const bool inside = place + i >= chunk.first && place + i < chunk.last;
    result.keys[i] = inside ? to_key(chunk.base[place + i]) : 0U;
    result.valid |= (inside ? 1U : 0U) << i;
  }
  return result;
}

/// Calls visit(key, place) for every token of the chunk, in no particular order.
template <class T, class Visit>
__device__ inline void for_each_key(const RowChunk<T>& chunk, Visit visit) {
  for (unsigned group = chunk.begin + kVector * threadIdx.x; group < chunk.last;
       group += kTileGroup) {
    KeyVector vectors[kSelectUnroll];
#pragma unroll
    for (int u = 0; u < kSelectUnroll; ++u) {
      vectors[u] = load_keys(chunk, group + static_cast<unsigned>(u) * kTile);
    }
#pragma unroll
    for (int u = 0; u < kSelectUnroll; ++u) {
#pragma unroll
      for (unsigned i = 0; i < kVector; ++i) {
        if ((vectors[u].valid >> i & 1U) != 0) {
          visit(vectors[u].keys[i], group + static_cast<unsigned>(u) * kTile + i);
        }
      }
    }
  }
}

/// Sets a block's histogram to zero; the caller synchronises.
__device__ inline void clear_histogram(unsigned* histogram) {
  for (int bin = static_cast<int>(threadIdx.x); bin < kSelectMaxBins; bin += kSelectThreads) {
    histogram[bin] = 0;
  }
}

/// Adds the digits of the chunk's keys that follow `prefix` to the block's histogram.
template <int Pass, class T>
__device__ inline void count_digits(const RowChunk<T>& chunk, unsigned prefix,
                                    unsigned* histogram) {
  for_each_key(chunk, [&](unsigned key, unsigned) {
    if (Digit<Pass>::follows(key, prefix)) {
      atomicAdd(&histogram[Digit<Pass>::of(key)], 1U);
    }
  });
}

/// Adds the block's histogram to the row's.
template <int Pass>
__device__ inline void flush_histogram(const unsigned* histogram, unsigned* row_histogram) {
  for (int bin = static_cast<int>(threadIdx.x); bin < Digit<Pass>::kBins; bin += kSelectThreads) {
    if (histogram[bin] != 0) {
      atomicAdd(&row_histogram[Digit<Pass>::kRowOffset + bin], histogram[bin]);
    }
  }
}

/// The digits of the k-th largest key found so far, and its rank, from 1, among the keys with them.
/// After the last pass `prefix` is the key itself and `rank` the number of keys equal to it that
/// are in the top k (docs: RankThreshold of the CPU backend).
struct Rank {
  unsigned prefix;
  unsigned rank;
};

/// What a block that searches and scans needs in shared memory.
struct SelectShared {
  alignas(16) unsigned histogram[kSelectMaxBins];  // read as vectors
  unsigned long long wide_sums[kSelectWarps];
  unsigned sums[kSelectWarps];
  Rank found;
};

/// Rank after `Pass`, from the rank before it and the pass's histogram (shared or global, aligned
/// to 16 bytes), 1 <= before.rank <= the number of keys in it. Every thread gets the result.
template <int Pass>
__device__ inline Rank find_digit(const unsigned* histogram, Rank before, SelectShared& shared) {
  constexpr int kVectors = Digit<Pass>::kBins / kSelectThreads / static_cast<int>(kVector);
  constexpr int kOwn = kVectors * static_cast<int>(kVector);
  // Thread 0 owns the highest bins.
  const int low = Digit<Pass>::kBins - (static_cast<int>(threadIdx.x) + 1) * kOwn;
  unsigned counts[kOwn];
  unsigned sum = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const Vector16<unsigned> vector = load16(histogram + low + v * static_cast<int>(kVector));
#pragma unroll
    for (int i = 0; i < static_cast<int>(kVector); ++i) {
      counts[v * static_cast<int>(kVector) + i] = vector.values[i];
      sum += vector.values[i];
    }
  }
  unsigned total = 0;
  unsigned above = block_exclusive_sum<kSelectThreads>(sum, shared.sums, total);
#pragma unroll
  for (int i = kOwn - 1; i >= 0; --i) {
    if (above < before.rank && before.rank <= above + counts[i]) {
      shared.found = {before.prefix | static_cast<unsigned>(low + i) << Digit<Pass>::kShift,
                      before.rank - above};
    }
    above += counts[i];
  }
  __syncthreads();
  return shared.found;
}

/// The rank that needs no search: nothing is above the one for no token, all above that for all m.
__device__ inline bool takes_none_or_all(unsigned k, unsigned m) {
  return k == 0 || k == m;
}
__device__ inline Rank none_or_all(unsigned k) {
  return k == 0 ? Rank{0xffffffffU, 0} : Rank{0, k};
}

/// Rank after `Pass` among keys that the block visits alone: for_each(visit) calls visit(key,
/// count) for the keys that this thread reads, each of which stands for `count` equal ones.
template <int Pass, class ForEach>
__device__ inline Rank select_digit(Rank rank, SelectShared& shared, ForEach for_each) {
  clear_histogram(shared.histogram);
  __syncthreads();
  for_each([&](unsigned key, unsigned count) {
    if (Digit<Pass>::follows(key, rank.prefix)) {
      atomicAdd(&shared.histogram[Digit<Pass>::of(key)], count);
    }
  });
  __syncthreads();
  return find_digit<Pass>(shared.histogram, rank, shared);
}

/// The rank of the k-th largest of those keys, 1 <= k <= their number. shared.histogram is left as
/// the last pass's.
template <class ForEach>
__device__ inline Rank select_key(unsigned k, SelectShared& shared, ForEach for_each) {
  Rank rank{0, k};
  rank = select_digit<0>(rank, shared, for_each);
  rank = select_digit<1>(rank, shared, for_each);
  return select_digit<2>(rank, shared, for_each);
}

/// The rank of the k-th largest key of a row that the block reads alone.
template <class T>
__device__ inline Rank select_in_block(const RowChunk<T>& row, unsigned k, SelectShared& shared) {
  return select_key(k, shared, [&](auto visit) {
    for_each_key(row, [&](unsigned key, unsigned) { visit(key, 1U); });
  });
}

/// Keys that equal the one that the last pass found, from that pass's histogram.
__device__ inline unsigned equal_keys(const unsigned* histogram, Rank threshold) {
  return histogram[Digit<kSelectPasses - 1>::of(threshold.prefix)];
}

/// The row's rank after `Pass`, from that pass's histogram. Every block of the row finds the same;
/// the one of chunk 0 notes it for the next launch.
/// @param row_histogram [kSelectRowBins] @param row_ranks [kSelectPasses]
template <int Pass>
__device__ inline Rank narrow_row(const unsigned* row_histogram, Rank* row_ranks, unsigned chunk,
                                  unsigned k, SelectShared& shared) {
  Rank before{0, k};
  if constexpr (Pass > 0) {
    before = row_ranks[Pass - 1];
  }
  const Rank rank = find_digit<Pass>(row_histogram + Digit<Pass>::kRowOffset, before, shared);
  if (chunk == 0 && threadIdx.x == 0) {
    row_ranks[Pass] = rank;
  }
  return rank;
}

/// Adds the digits of one chunk to its row's histogram: what a launch does for `Pass`.
template <int Pass, class T>
__device__ inline void count_chunk_digits(const RowChunk<T>& row_chunk, unsigned* row_histogram,
                                          Rank* row_ranks, unsigned chunk, unsigned k,
                                          SelectShared& shared) {
  clear_histogram(shared.histogram);
  unsigned prefix = 0;
  if constexpr (Pass > 0) {
    prefix = narrow_row<Pass - 1>(row_histogram, row_ranks, chunk, k, shared).prefix;
  }
  __syncthreads();
  count_digits<Pass>(row_chunk, prefix, shared.histogram);
  __syncthreads();
  flush_histogram<Pass>(shared.histogram, row_histogram);
}

/// Keys of a chunk, or of all chunks before one, against a threshold.
struct RankCounts {
  unsigned above;
  unsigned equal;
};

/// How the chunk's keys that this thread reads stand to a threshold.
template <class T>
__device__ inline RankCounts chunk_ranks(const RowChunk<T>& chunk, unsigned threshold) {
  RankCounts counts{0, 0};
  for_each_key(chunk, [&](unsigned key, unsigned) {
    counts.above += key > threshold ? 1U : 0U;
    counts.equal += key == threshold ? 1U : 0U;
  });
  return counts;
}

/// Both numbers summed over the block; the caller synchronises before shared is used again.
__device__ inline RankCounts block_total(RankCounts mine, SelectShared& shared) {
  unsigned long long total = 0;
  const unsigned long long packed = static_cast<unsigned long long>(mine.equal) << 32U | mine.above;
  block_exclusive_sum<kSelectThreads>(packed, shared.wide_sums, total);
  return {static_cast<unsigned>(total), static_cast<unsigned>(total >> 32U)};
}

/// Sums of the chunks before `chunk` of a row; the caller synchronises before shared is used again.
__device__ inline RankCounts counts_before(const RankCounts* chunk_counts, unsigned chunk,
                                           SelectShared& shared) {
  RankCounts before{0, 0};
  for (unsigned earlier = threadIdx.x; earlier < chunk; earlier += kSelectThreads) {
    before.above += chunk_counts[earlier].above;
    before.equal += chunk_counts[earlier].equal;
  }
  return block_total(before, shared);
}

/// Which of the keys that equal a threshold are selected: those before which [first, last) others
/// are in the row.
struct TakenTies {
  unsigned first;
  unsigned last;
};
__device__ inline TakenTies lower_ties(Rank threshold) {
  return {0, threshold.rank};
}
/// @param equal keys of the row that equal the threshold
__device__ inline TakenTies higher_ties(Rank threshold, unsigned equal) {
  return {equal - threshold.rank, equal};
}

/// Calls visit(key, place, selected, position) for every token of the chunk; `position` counts the
/// selected tokens of the row before it. `before` counts the chunks before this one. Synchronises
/// behind the last visit.
template <class T, class Visit>
__device__ inline void for_each_ranked(const RowChunk<T>& chunk, unsigned threshold, TakenTies ties,
                                       RankCounts before, SelectShared& shared, Visit visit) {
  for (unsigned group = chunk.begin; group < chunk.last; group += kTileGroup) {
    KeyVector vectors[kSelectUnroll];
#pragma unroll
    for (int u = 0; u < kSelectUnroll; ++u) {
      vectors[u] =
          load_keys(chunk, group + static_cast<unsigned>(u) * kTile + kVector * threadIdx.x);
    }
#pragma unroll
    for (int u = 0; u < kSelectUnroll; ++u) {
      if (group + static_cast<unsigned>(u) * kTile >= chunk.last) {
        break;
      }
      const KeyVector& vector = vectors[u];
      // A tile has 1024 tokens, so that both counts fit one word.
      unsigned packed = 0;
#pragma unroll
      for (unsigned i = 0; i < kVector; ++i) {
        if ((vector.valid >> i & 1U) != 0) {
          packed += vector.keys[i] > threshold ? 1U : 0U;
          packed += vector.keys[i] == threshold ? 1U << 16U : 0U;
        }
      }
      unsigned total = 0;
      const unsigned below = block_exclusive_sum<kSelectThreads>(packed, shared.sums, total);
      unsigned above = before.above + (below & 0xffffU);
      unsigned equal = before.equal + (below >> 16U);
#pragma unroll
      for (unsigned i = 0; i < kVector; ++i) {
        if ((vector.valid >> i & 1U) != 0) {
          const bool greater = vector.keys[i] > threshold;
          const bool tied = vector.keys[i] == threshold;
          const unsigned taken = min(max(equal, ties.first), ties.last) - ties.first;
          visit(vector.keys[i],
                group + static_cast<unsigned>(u) * kTile + kVector * threadIdx.x + i,
                greater || (tied && equal >= ties.first && equal < ties.last), above + taken);
          above += greater ? 1U : 0U;
          equal += tied ? 1U : 0U;
        }
      }
      before.above += total & 0xffffU;
      before.equal += total >> 16U;
      __syncthreads();
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
