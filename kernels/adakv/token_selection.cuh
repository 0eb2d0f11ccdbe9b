#pragma once
// Which tokens of each head stay, written as ascending positions, one head after the other.
//
// The idea: a radix select per unit finds the key of its count-th best score and how many ties it
// takes (radix_select.cuh); a visit in token order then writes the selected positions. Counts are
// on the device: one block scans them into offsets first.
// CriticalKV's second stage ranks count tokens by keys in which the first stage's stand above all
// others and the rest are those of score * norm; the keys go through the workspace.
//
// Layout: a row that fits one chunk is done by one block in one launch (select_rows). A longer one
// is spread over blocks: three digit passes, a count of each chunk against the threshold and the
// compaction, each a launch; every block derives the row's state from the histogram before.
// Bytes a block: 4 a token of its chunk and pass over it, 8 KiB of histogram, 4 a kept token.
// Limits: rows of at most kSelectMaxTokens tokens.

#include "adakv/radix_select.cuh"
#include "adakv/token_selection_device.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

struct SelectionParams {
  const float* scores;
  const float* norms;
  const std::int32_t* counts;
  std::int64_t stride;
  std::int64_t norms_stride;
  std::int64_t key_stride;
  std::int64_t units;
  std::int64_t sinks;
  std::int64_t window;
  unsigned m;
  unsigned chunk_tokens;
  unsigned chunks;
  unsigned* keys;            ///< [units, key_stride] of the second stage
  unsigned* histograms;      ///< [stages, units, kSelectRowBins], zero at first
  Rank* ranks;               ///< [units, kSelectPasses] after each pass
  RankCounts* chunk_counts;  ///< [units, chunks]
  std::int64_t* offsets;
  std::int32_t* kept;
};

/// What a selection ranks: all tokens by score; or the two stages of CriticalKV.
enum class Stage { kOnly, kFirst, kSecond };

__device__ inline unsigned kept_candidates(const SelectionParams& params, std::int64_t unit) {
  return min(static_cast<unsigned>(max(params.counts[unit], 0)), params.m);
}

/// Tokens that the stage takes of a unit.
template <Stage S>
__device__ inline unsigned tokens_of(const SelectionParams& params, std::int64_t unit) {
  const unsigned kept = kept_candidates(params, unit);
  return S == Stage::kFirst ? kept / 2 : kept;
}

template <Stage S>
__device__ inline auto stage_chunk(const SelectionParams& params, std::int64_t unit,
                                   unsigned chunk) {
  if constexpr (S == Stage::kSecond) {
    return chunk_of_row<unsigned>(params.keys + unit * params.key_stride, params.m, chunk,
                                  params.chunk_tokens);
  } else {
    return chunk_of_row(params.scores + unit * params.stride, params.m, chunk, params.chunk_tokens);
  }
}

template <Stage S>
__device__ inline unsigned* stage_histogram(const SelectionParams& params, std::int64_t unit) {
  return params.histograms + (S == Stage::kSecond ? params.units + unit : unit) * kSelectRowBins;
}

/// Where each unit's kept tokens begin. One block.
__global__ void __launch_bounds__(kSelectThreads) scan_offsets(SelectionParams params) {
  __shared__ unsigned long long sums[kSelectWarps];
  const auto always = static_cast<unsigned long long>(params.sinks + params.window);
  unsigned long long before = 0;
  for (std::int64_t first = 0; first < params.units; first += kSelectThreads) {
    const std::int64_t unit = first + threadIdx.x;
    const bool inside = unit < params.units;
    const unsigned long long mine = inside ? always + kept_candidates(params, unit) : 0;
    unsigned long long total = 0;
    const unsigned long long below = block_exclusive_sum<kSelectThreads>(mine, sums, total);
    if (inside) {
      params.offsets[unit] = static_cast<std::int64_t>(before + below);
    }
    before += total;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    params.offsets[params.units] = static_cast<std::int64_t>(before);
  }
}

/// Writes the second stage's keys of a chunk: the first stage's tokens stand above every score.
/// Scores come from their keys, which the visit has in registers.
/// __fmul_rn keeps the product from being fused with rank_key's addition, which would round once
/// where the CPU rounds twice.
__device__ inline void write_keys(const SelectionParams& params, std::int64_t unit,
                                  const RowChunk<float>& chunk, Rank threshold, RankCounts before,
                                  SelectShared& shared) {
  constexpr unsigned kFirstStage = 0xffffffffU;
  const float* norms = params.norms + unit * params.norms_stride;
  unsigned* keys = params.keys + unit * params.key_stride;
  for_each_ranked(chunk, threshold.prefix, lower_ties(threshold), before, shared,
                  [&](unsigned key, unsigned place, bool selected, unsigned) {
                    const unsigned token = place - chunk.shift;
                    keys[token] =
                        selected ? kFirstStage : rank_key(__fmul_rn(to_score(key), norms[token]));
                  });
}

/// Writes the selected tokens of a chunk, and the protected ones beside the row's ends.
template <class T>
__device__ inline void write_kept(const SelectionParams& params, std::int64_t unit, unsigned index,
                                  const RowChunk<T>& chunk, Rank threshold, RankCounts before,
                                  SelectShared& shared) {
  std::int32_t* sinks = params.kept + params.offsets[unit];
  std::int32_t* candidates = sinks + params.sinks;
  std::int32_t* window = candidates + kept_candidates(params, unit);
  for_each_ranked(chunk, threshold.prefix, lower_ties(threshold), before, shared,
                  [&](unsigned, unsigned place, bool selected, unsigned position) {
                    if (selected) {
                      candidates[position] =
                          static_cast<std::int32_t>(params.sinks + place - chunk.shift);
                    }
                  });
  if (index == 0) {
    for (std::int64_t j = threadIdx.x; j < params.sinks; j += kSelectThreads) {
      sinks[j] = static_cast<std::int32_t>(j);
    }
  }
  if (index == params.chunks - 1) {
    for (std::int64_t j = threadIdx.x; j < params.window; j += kSelectThreads) {
      window[j] = static_cast<std::int32_t>(params.sinks + params.m + j);
    }
  }
}

/// The threshold of the k best tokens of a row that the block reads alone.
template <class T>
__device__ inline Rank threshold_in_block(const RowChunk<T>& row, unsigned k, unsigned m,
                                          SelectShared& shared) {
  if (takes_none_or_all(k, m)) {
    return none_or_all(k);
  }
  return select_in_block(row, k, shared);
}

/// Everything of a unit whose row is one chunk.
template <bool Critical>
__global__ void __launch_bounds__(kSelectThreads) select_rows(SelectionParams params) {
  __shared__ SelectShared shared;
  const std::int64_t unit = blockIdx.x;
  const RowChunk<float> scores = stage_chunk<Stage::kOnly>(params, unit, 0);
  constexpr Stage kStage = Critical ? Stage::kFirst : Stage::kOnly;
  Rank threshold = threshold_in_block(scores, tokens_of<kStage>(params, unit), params.m, shared);
  if constexpr (Critical) {
    write_keys(params, unit, scores, threshold, {0, 0}, shared);
    const RowChunk<unsigned> keys = stage_chunk<Stage::kSecond>(params, unit, 0);
    threshold = threshold_in_block(keys, tokens_of<Stage::kSecond>(params, unit), params.m, shared);
    write_kept(params, unit, 0, keys, threshold, {0, 0}, shared);
  } else {
    write_kept(params, unit, 0, scores, threshold, {0, 0}, shared);
  }
}

template <int Pass, Stage S>
__global__ void __launch_bounds__(kSelectThreads) count_row_digits(SelectionParams params) {
  __shared__ SelectShared shared;
  const std::int64_t unit = blockIdx.x / params.chunks;
  const unsigned chunk = blockIdx.x % params.chunks;
  const unsigned k = tokens_of<S>(params, unit);
  if (takes_none_or_all(k, params.m)) {
    return;
  }
  count_chunk_digits<Pass>(stage_chunk<S>(params, unit, chunk), stage_histogram<S>(params, unit),
                           params.ranks + unit * kSelectPasses, chunk, k, shared);
}

/// How each chunk's keys stand to the threshold.
template <Stage S>
__global__ void __launch_bounds__(kSelectThreads) count_ranks(SelectionParams params) {
  __shared__ SelectShared shared;
  const std::int64_t unit = blockIdx.x / params.chunks;
  const unsigned chunk = blockIdx.x % params.chunks;
  const unsigned k = tokens_of<S>(params, unit);
  const Rank threshold =
      takes_none_or_all(k, params.m)
          ? none_or_all(k)
          : narrow_row<kSelectPasses - 1>(stage_histogram<S>(params, unit),
                                          params.ranks + unit * kSelectPasses, chunk, k, shared);
  const RankCounts counts =
      block_total(chunk_ranks(stage_chunk<S>(params, unit, chunk), threshold.prefix), shared);
  if (threadIdx.x == 0) {
    params.chunk_counts[unit * params.chunks + chunk] = counts;
  }
}

/// Writes what the stage selected: positions, or the next stage's keys.
template <Stage S>
__global__ void __launch_bounds__(kSelectThreads) compact(SelectionParams params) {
  __shared__ SelectShared shared;
  const std::int64_t unit = blockIdx.x / params.chunks;
  const unsigned index = blockIdx.x % params.chunks;
  const unsigned k = tokens_of<S>(params, unit);
  const Rank threshold = takes_none_or_all(k, params.m)
                             ? none_or_all(k)
                             : params.ranks[unit * kSelectPasses + kSelectPasses - 1];
  const RankCounts before =
      counts_before(params.chunk_counts + unit * params.chunks, index, shared);
  const auto chunk = stage_chunk<S>(params, unit, index);
  if constexpr (S == Stage::kFirst) {
    write_keys(params, unit, chunk, threshold, before, shared);
  } else {
    write_kept(params, unit, index, chunk, threshold, before, shared);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
