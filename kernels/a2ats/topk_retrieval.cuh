#pragma once
// Each query head's top K into a bit mask of its group, and masks into ascending lists.
//
// The idea: a radix select per query head finds the key of its K-th best score and how many equal
// ones it takes (adakv/radix_select.cuh); a visit in token order then sets the selected tokens'
// bits. Equal scores are the rule, since tokens share codewords: the most recent of them are taken,
// which are those behind the first ties - taken ones. All members of a group set bits of one mask,
// whose words start at zero; bits are set by atomic or, so that no order
// changes a result.
//
// Layout: a row that fits one chunk is done by one block in one launch (select_scores). A longer
// one is spread over blocks: three digit passes, a count of each chunk against the threshold and
// the marking, each a launch; every block derives the row's state from the histogram before. Bytes
// a block: 4 a token of its chunk and pass, 8 KiB of histogram, 4 for every four neighbouring
// tokens of which one is selected. Limits: ranges of at most kSelectMaxTokens tokens.
//
// list_tokens_kernel gives a block kListThreads words of a segment's mask, one a thread. A block
// counts the bits of the words before its own rather than wait for other blocks to do so: 4 bytes a
// word, from L2. Its tokens are brought together in shared memory, so that a warp writes
// neighbours: a list in host memory goes over the bus once, in pieces of up to 128 bytes.

#include "a2ats/retrieved_mask.cuh"
#include "adakv/radix_select.cuh"
#include "exec/device/host_memory.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

struct TopKParams {
  const float* scores;  ///< [S, G, stride]
  std::int64_t stride;
  const std::int32_t* head_k;  ///< [S, G], or null
  std::int64_t begin;          ///< first token of the range
  unsigned m;                  ///< tokens in it
  unsigned k;
  int group;
  unsigned chunk_tokens;
  unsigned chunks;
  RetrievedMask mask;
  unsigned* histograms;      ///< [S, G, kSelectRowBins], zero at first
  Rank* ranks;               ///< [S, G, kSelectPasses] after each pass
  RankCounts* chunk_counts;  ///< [S, G, chunks]
};

__device__ inline unsigned retrieved_tokens(const TopKParams& params, std::int64_t head) {
  return retrieved_tokens(params.head_k, params.k, params.m, head);
}

__device__ inline RowChunk<AnyScore> score_chunk(const TopKParams& params, std::int64_t head,
                                                 unsigned chunk) {
  const float* row = params.scores + head * params.stride + params.begin;
  return chunk_of_row(reinterpret_cast<const AnyScore*>(row), params.m, chunk, params.chunk_tokens);
}

/// Sets the bits of the chunk's selected tokens. A thread visits runs of neighbours, so it gathers
/// the bits of a word.
__device__ inline void mark_chunk(const TopKParams& params, std::int64_t head,
                                  const RowChunk<AnyScore>& chunk, Rank threshold, unsigned ties,
                                  RankCounts before, SelectShared& shared) {
  const MaskRow row = mask_row(params.mask, head, params.group);
  std::int64_t word = 0;
  unsigned bits = 0;
  for_each_ranked(chunk, threshold.prefix, higher_ties(threshold, ties), before, shared,
                  [&](unsigned, unsigned place, bool selected, unsigned) {
                    if (selected) {
                      const std::int64_t token = params.begin + place - chunk.shift;
                      if (token / 32 != word) {
                        set_bits(row, word, bits);
                        word = token / 32;
                        bits = 0;
                      }
                      bits |= 1U << static_cast<unsigned>(token % 32);
                    }
                  });
  set_bits(row, word, bits);
}

/// Everything of a query head whose range is one chunk.
__global__ void __launch_bounds__(kSelectThreads) select_scores(TopKParams params) {
  __shared__ SelectShared shared;
  const std::int64_t head = blockIdx.x;
  const unsigned k = retrieved_tokens(params, head);
  if (k == 0) {
    store_ties(params.mask, head, 0);
    return;
  }
  const RowChunk<AnyScore> row = score_chunk(params, head, 0);
  const Rank threshold = select_in_block(row, k, shared);
  const unsigned ties = equal_keys(shared.histogram, threshold);
  store_ties(params.mask, head, ties);
  mark_chunk(params, head, row, threshold, ties, {0, 0}, shared);
}

template <int Pass>
__global__ void __launch_bounds__(kSelectThreads) count_score_digits(TopKParams params) {
  __shared__ SelectShared shared;
  const std::int64_t head = blockIdx.x / params.chunks;
  const unsigned chunk = blockIdx.x % params.chunks;
  const unsigned k = retrieved_tokens(params, head);
  if (k > 0) {
    count_chunk_digits<Pass>(score_chunk(params, head, chunk),
                             params.histograms + head * kSelectRowBins,
                             params.ranks + head * kSelectPasses, chunk, k, shared);
  }
}

/// How each chunk's scores stand to the threshold.
__global__ void __launch_bounds__(kSelectThreads) count_score_ranks(TopKParams params) {
  __shared__ SelectShared shared;
  const std::int64_t head = blockIdx.x / params.chunks;
  const unsigned chunk = blockIdx.x % params.chunks;
  const unsigned k = retrieved_tokens(params, head);
  if (k == 0) {
    return;
  }
  const Rank threshold =
      narrow_row<kSelectPasses - 1>(params.histograms + head * kSelectRowBins,
                                    params.ranks + head * kSelectPasses, chunk, k, shared);
  const RankCounts counts =
      block_total(chunk_ranks(score_chunk(params, head, chunk), threshold.prefix), shared);
  if (threadIdx.x == 0) {
    params.chunk_counts[head * params.chunks + chunk] = counts;
  }
}

__global__ void __launch_bounds__(kSelectThreads) mark_scores(TopKParams params) {
  __shared__ SelectShared shared;
  const std::int64_t head = blockIdx.x / params.chunks;
  const unsigned chunk = blockIdx.x % params.chunks;
  const bool first = chunk == 0;
  if (retrieved_tokens(params, head) == 0) {
    if (first) {
      store_ties(params.mask, head, 0);
    }
    return;
  }
  const Rank threshold = params.ranks[head * kSelectPasses + kSelectPasses - 1];
  const unsigned ties = equal_keys(
      params.histograms + head * kSelectRowBins + Digit<kSelectPasses - 1>::kRowOffset, threshold);
  if (first) {
    store_ties(params.mask, head, ties);
  }
  const RankCounts before =
      counts_before(params.chunk_counts + head * params.chunks, chunk, shared);
  mark_chunk(params, head, score_chunk(params, head, chunk), threshold, ties, before, shared);
}

inline constexpr int kListThreads = 256;
inline constexpr int kListWarps = kListThreads / kWarpSize;

struct ListParams {
  const std::uint32_t* words;  ///< [S, stride]
  std::int64_t stride;
  std::int64_t first_word;
  std::int64_t last_word;  ///< end of the words with tokens of the range
  unsigned word_blocks;    ///< a segment, at least one
  std::int64_t sinks;      ///< tokens [0, sinks) before the retrieved ones
  std::int64_t window_begin;
  std::int64_t window_end;  ///< tokens behind them
  TokenLists lists;
};

/// A list's element, in the memory that the list is in.
template <bool Host>
__device__ inline void write_list(std::int32_t* target, std::int32_t value) {
  if constexpr (Host) {
    write_host(target, value);
  } else {
    *target = value;
  }
}

/// Writes tokens [begin, end) from place `place` of a list, as far as there is room.
template <bool Host>
__device__ inline void write_run(std::int32_t* list, std::int64_t capacity, std::int64_t place,
                                 std::int64_t begin, std::int64_t end) {
  const std::int64_t last = min(end - begin, capacity - place);
  for (std::int64_t i = threadIdx.x; i < last; i += kListThreads) {
    write_list<Host>(list + place + i, static_cast<std::int32_t>(begin + i));
  }
}

template <bool Host>
__global__ void __launch_bounds__(kListThreads) list_tokens_kernel(ListParams params) {
  __shared__ unsigned sums[kListWarps];
  __shared__ std::int32_t tokens[kListThreads * 32];
  const std::int64_t segment = blockIdx.x / params.word_blocks;
  const unsigned block = blockIdx.x % params.word_blocks;
  const std::uint32_t* words = params.words + segment * params.stride;
  const std::int64_t first = params.first_word + std::int64_t{block} * kListThreads;

  unsigned mine = 0;
  for (std::int64_t w = params.first_word + threadIdx.x; w < first; w += kListThreads) {
    mine += static_cast<unsigned>(__popc(words[w]));
  }
  unsigned before = 0;
  block_exclusive_sum<kListThreads>(mine, sums, before);
  __syncthreads();

  const std::int64_t own = first + threadIdx.x;
  unsigned bits = own < params.last_word ? words[own] : 0U;
  unsigned count = 0;
  unsigned place =
      block_exclusive_sum<kListThreads>(static_cast<unsigned>(__popc(bits)), sums, count);
  for (; bits != 0; bits &= bits - 1) {
    tokens[place++] = static_cast<std::int32_t>(own * 32 + __ffs(static_cast<int>(bits)) - 1);
  }
  __syncthreads();

  std::int32_t* list = params.lists.tokens + segment * params.lists.capacity;
  const std::int64_t target = params.sinks + before;
  const std::int64_t last = min(std::int64_t{count}, params.lists.capacity - target);
  for (std::int64_t i = threadIdx.x; i < last; i += kListThreads) {
    write_list<Host>(list + target + i, tokens[i]);
  }
  if (block == 0) {
    write_run<Host>(list, params.lists.capacity, 0, 0, params.sinks);
  }
  if (block == params.word_blocks - 1) {
    const std::int64_t behind = target + count;
    write_run<Host>(list, params.lists.capacity, behind, params.window_begin, params.window_end);
    if (threadIdx.x == 0) {
      write_list<Host>(params.lists.counts + segment,
                       static_cast<std::int32_t>(behind + params.window_end - params.window_begin));
    }
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
