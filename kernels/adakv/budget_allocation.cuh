#pragma once
// Sharing a layer's h * b tokens out among its heads (Ada-KV algorithm 1 with its safeguards).
//
// The idea: with a floor, head i gets max(floor, c_i) tokens, where c_i counts its scores above one
// threshold of the layer, and the ties at the threshold fill the total in head order. That number
// falls with the threshold, so a radix select finds it: three passes count digits of the keys a
// row, and after each a block a layer narrows the threshold's prefix. The counts per head fall out
// of the same histograms; no pass over the scores is needed for them. Rounding is integer
// arithmetic over h numbers.
//
// Layout: count_layer_digits has a block a chunk of a row (radix_select.cuh); narrow_layer a block
// a layer, a warp a head in turn.
// Bytes a block: count_layer_digits 4 a token; narrow_layer reads each head's histogram of the
// pass twice (8 KiB a head) and writes it once.
// Limits: heads <= kAllocationMaxHeads, (slope f + constant) fits 64 bits (scale <= 10^9).

#include "adakv/allocation_rule.h"
#include "adakv/budget_allocation_device.h"
#include "adakv/radix_select.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

struct AllocationParams {
  const float* scores;
  std::int64_t stride;
  unsigned heads;
  unsigned m;
  unsigned chunk_tokens;
  unsigned chunks;
  std::int64_t total;  ///< tokens a layer, heads * b
  AllocationRule rule;
  unsigned* histograms;  ///< [rows, kSelectRowBins], zero at first
  unsigned* above;       ///< [rows] keys above those that follow the layer's prefix
  unsigned* prefixes;    ///< [batch]
  std::int32_t* budgets;
  unsigned long long* first_not_finite;
};

/// Keys below are those of -inf and some NaNs, keys beyond those of inf and the others.
__device__ inline bool is_finite_key(unsigned key) {
  constexpr unsigned kLowest = 0x00800000U;
  constexpr unsigned kFiniteKeys = 0xff000000U;
  return key - kLowest < kFiniteKeys;
}

inline constexpr unsigned kNoPlace = 0xffffffffU;

template <int Pass>
__global__ void __launch_bounds__(kSelectThreads) count_layer_digits(AllocationParams params) {
  __shared__ unsigned histogram[kSelectMaxBins];
  const unsigned row = blockIdx.x / params.chunks;
  const RowChunk<float> chunk = chunk_of_row(params.scores + row * params.stride, params.m,
                                             blockIdx.x % params.chunks, params.chunk_tokens);
  clear_histogram(histogram);
  __syncthreads();
  if constexpr (Pass == 0) {
    unsigned first_bad = kNoPlace;
    for_each_key(chunk, [&](unsigned key, unsigned place) {
      first_bad = is_finite_key(key) ? first_bad : min(first_bad, place);
      atomicAdd(&histogram[Digit<0>::of(key)], 1U);
    });
    if (first_bad != kNoPlace) {
      atomicMin(params.first_not_finite,
                static_cast<unsigned long long>(row) * params.m + (first_bad - chunk.shift));
    }
  } else {
    count_digits<Pass>(chunk, params.prefixes[row / params.heads], histogram);
  }
  __syncthreads();
  flush_histogram<Pass>(histogram, params.histograms + row * kSelectRowBins);
}

/// Turns a row's histogram into counts of the keys at or above each bin. By one warp.
template <int Bins>
__device__ inline void accumulate_from_top(unsigned* histogram, unsigned above) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  constexpr int kStep = kWarpSize * static_cast<int>(kVector);
#pragma unroll 4
  for (int top = Bins; top > 0; top -= kStep) {
    unsigned* own = histogram + top - (lane + 1) * static_cast<int>(kVector);
    Vector16<unsigned> counts = load16(own);
#pragma unroll
    for (int i = static_cast<int>(kVector) - 1; i > 0; --i) {
      counts.values[i - 1] += counts.values[i];
    }
    const unsigned inclusive = warp_inclusive_sum(counts.values[0]);
    const unsigned before = above + inclusive - counts.values[0];
#pragma unroll
    for (unsigned i = 0; i < kVector; ++i) {
      counts.values[i] += before;
    }
    store16(own, counts);
    above += __shfl_sync(kFullMask, inclusive, kWarpSize - 1);
  }
}

/// A layer's histograms of one pass, accumulated from the top.
struct LayerCounts {
  const unsigned* counts;  ///< of head 0; heads are kSelectRowBins apart
  const unsigned* above;   ///< [heads] counts above the highest bin
  unsigned bins;

  /// Keys of the head at or above `bin`, which may be one beyond the highest.
  __device__ unsigned from(unsigned head, unsigned bin) const {
    return bin == bins ? above[head] : counts[head * kSelectRowBins + bin];
  }
};

/// Tokens of all heads if the threshold were the lowest key of `bin`.
__device__ inline std::int64_t tokens_from(const LayerCounts& layer, unsigned heads, unsigned bin,
                                           std::int64_t floor) {
  std::int64_t tokens = 0;
  for (unsigned head = 0; head < heads; ++head) {
    const auto count = static_cast<std::int64_t>(layer.from(head, bin));
    tokens += max(count, floor);
  }
  return tokens;
}

/// The highest bin from which at least `total` tokens come. `tokens` has room for all bins.
template <int Bins>
__device__ inline unsigned find_layer_bin(const LayerCounts& layer, const AllocationParams& params,
                                          std::int64_t* tokens, unsigned& found) {
  for (unsigned bin = threadIdx.x; bin < Bins; bin += blockDim.x) {
    tokens[bin] = tokens_from(layer, params.heads, bin, params.rule.floor);
  }
  __syncthreads();
  for (unsigned bin = threadIdx.x; bin < Bins; bin += blockDim.x) {
    if (tokens[bin] >= params.total && (bin == Bins - 1 || tokens[bin + 1] < params.total)) {
      found = bin;
    }
  }
  __syncthreads();
  return found;
}

/// Rounds (slope f + constant) / scale of each head. `shares` [heads] holds f, `rests` [heads] is
/// scratch; both are shared memory that the block has just synchronised.
__device__ inline void round_budgets(const AllocationParams& params, std::int64_t* shares,
                                     std::int64_t* rests, std::int32_t* budgets) {
  const AllocationRule& rule = params.rule;
  for (unsigned head = threadIdx.x; head < params.heads; head += blockDim.x) {
    const std::int64_t numerator = rule.slope * shares[head] + rule.constant;
    shares[head] = numerator / rule.scale;
    rests[head] = numerator % rule.scale;
  }
  __syncthreads();
  for (unsigned head = threadIdx.x; head < params.heads; head += blockDim.x) {
    bool up = false;
    if (rule.half_even) {
      const std::int64_t twice = 2 * rests[head];
      up = twice > rule.scale || (twice == rule.scale && shares[head] % 2 != 0);
    } else {
      std::int64_t left = params.total;
      std::int64_t larger = 0;
      for (unsigned other = 0; other < params.heads; ++other) {
        left -= shares[other];
        const bool first =
            rests[other] > rests[head] || (rests[other] == rests[head] && other < head);
        larger += first ? 1 : 0;
      }
      up = larger < left;
    }
    budgets[head] = static_cast<std::int32_t>(shares[head] + (up ? 1 : 0));
  }
}

/// Each head's tokens above the threshold and its part of the ties, lower heads first.
__device__ inline void share_out(const LayerCounts& layer, const AllocationParams& params,
                                 unsigned bin, std::int64_t* shares, std::int64_t* ties,
                                 std::int32_t* budgets) {
  const std::int64_t floor = params.rule.floor;
  for (unsigned head = threadIdx.x; head < params.heads; head += blockDim.x) {
    const auto above = static_cast<std::int64_t>(layer.from(head, bin + 1));
    const auto reached = static_cast<std::int64_t>(layer.from(head, bin));
    shares[head] = max(above, floor);
    ties[head] = max(reached, floor) - max(above, floor);
  }
  __syncthreads();
  std::int64_t left = params.total;
  for (unsigned head = 0; head < params.heads; ++head) {
    left -= shares[head];
  }
  __syncthreads();
  for (unsigned head = threadIdx.x; head < params.heads; head += blockDim.x) {
    std::int64_t mine = left;
    for (unsigned lower = 0; lower < head; ++lower) {
      mine -= ties[lower];
    }
    shares[head] += max(std::int64_t{0}, min(mine, ties[head]));
  }
  __syncthreads();
  round_budgets(params, shares, ties, budgets);
}

/// After a pass: narrows the layer's prefix; after the last: the budgets.
template <int Pass>
__global__ void __launch_bounds__(kNarrowThreads) narrow_layer(AllocationParams params) {
  constexpr int kBins = Digit<Pass>::kBins;
  __shared__ std::int64_t tokens[kBins];
  __shared__ unsigned found;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * params.heads;
  unsigned* histograms = params.histograms + first_row * kSelectRowBins + Digit<Pass>::kRowOffset;
  unsigned* above = params.above + first_row;
  for (unsigned head = threadIdx.x / kWarpSize; head < params.heads;
       head += kNarrowThreads / kWarpSize) {
    accumulate_from_top<kBins>(histograms + head * kSelectRowBins, above[head]);
  }
  __syncthreads();
  const LayerCounts layer{histograms, above, kBins};
  const unsigned bin = find_layer_bin<kBins>(layer, params, tokens, found);
  if constexpr (Pass + 1 < kSelectPasses) {
    for (unsigned head = threadIdx.x; head < params.heads; head += kNarrowThreads) {
      above[head] = layer.from(head, bin + 1);
    }
    if (threadIdx.x == 0) {
      unsigned& prefix = params.prefixes[blockIdx.x];
      prefix = (Pass == 0 ? 0 : prefix) | bin << Digit<Pass>::kShift;
    }
  } else {
    auto* shares = dynamic_shared<std::int64_t>();
    share_out(layer, params, bin, shares, shares + params.heads, params.budgets + first_row);
  }
}

/// Every head gets the same: none or all of its tokens.
__global__ void __launch_bounds__(kSelectThreads)
    fill_budgets(std::int32_t* budgets, std::int64_t rows, std::int32_t budget) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kSelectThreads +
                           static_cast<std::int64_t>(threadIdx.x);
  if (row < rows) {
    budgets[row] = budget;
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
