#pragma once
// Tokens sorted by code, and each query head's top K decided among codes.
//
// build_buckets. The idea: a stable radix sort by digits of 8 bits, one for C up to 256, else two.
// A block has kSortTokens tokens of one segment in order, a warp a contiguous part of them. It
// counts its digits (count_codes), then places its tokens (place_codes): a token's place is the
// number of tokens with lower digits, of equal digits in earlier chunks, in earlier warps, earlier
// in the warp's part, and in lower lanes of the 32 that are placed at once. Counts are added as
// integers, and the order of places comes from positions alone. find_offsets then searches the
// sorted codes for each code's first.
// Bytes a block and digit: 2 read three times and 6 written a token, 4 more read after the first
// digit; 1 KiB of counts written and those of all chunks of the segment read.
//
// bucket_retrieval. The idea: tokens with one code have one score, so the K-th best is found among
// C table entries, each counted as often as its bucket is large, and the codes of tokens that are
// not in the buckets yet. find_thresholds does so with a block a query head. Where the K-th score
// cuts through several equal ones, the most recent win, whatever their codes are: a second select,
// over token numbers, expands those codes alone, and of each no more than could be taken.
// mark_codes spreads the codes over blocks, each lane with one; a warp expands a lane's bucket
// together.
// Bytes a query head: 12 a code for each of 3 passes (from the caches but for the first; 8 without
// tokens), 4 a code and 8 a taken one to mark, 4 a selected token read, 4 for its bit.
// Limits: ranges of at most kSelectMaxTokens tokens, C up to 65536.

#include "a2ats/code_buckets_device.h"
#include "a2ats/retrieved_mask.cuh"
#include "adakv/radix_select.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kSortThreads = 256;
inline constexpr int kSortWarps = kSortThreads / kWarpSize;
inline constexpr int kSortBits = 8;
inline constexpr int kSortBins = 1 << kSortBits;
/// Tokens of a lane that are placed one after the other.
inline constexpr int kSortUnroll = 4;
inline constexpr unsigned kSortTokens = 4096;
inline constexpr unsigned kWarpTokens = kSortTokens / kSortWarps;
static_assert(kSortBins == kSortThreads, "a thread a digit");
static_assert(kWarpTokens % (kSortUnroll * kWarpSize) == 0);

/// One pass of the sort.
struct SortParams {
  const std::uint16_t* codes;  ///< [S, codes_stride] in the order so far
  std::int64_t codes_stride;
  const std::int32_t* tokens;  ///< [S, n] whose codes they are; null: begin, begin + 1, ...
  std::int64_t begin;
  unsigned n;
  unsigned chunks;              ///< of a segment
  int shift;                    ///< of the digit
  unsigned* counts;             ///< [S, chunks, kSortBins]
  std::uint16_t* sorted_codes;  ///< [S, n]
  std::int32_t* sorted_tokens;  ///< [S, tokens_stride]
  std::int64_t tokens_stride;
};

__device__ inline unsigned sort_digit(const SortParams& params, unsigned code) {
  return code >> static_cast<unsigned>(params.shift) & (kSortBins - 1U);
}

__global__ void __launch_bounds__(kSortThreads) count_codes(SortParams params) {
  __shared__ unsigned counts[kSortBins];
  const std::int64_t segment = blockIdx.x / params.chunks;
  const unsigned first = blockIdx.x % params.chunks * kSortTokens;
  const unsigned last = min(first + kSortTokens, params.n);
  const std::uint16_t* codes = params.codes + segment * params.codes_stride;
  counts[threadIdx.x] = 0;
  __syncthreads();
  for (unsigned i = first + threadIdx.x; i < last; i += kSortThreads) {
    atomicAdd(&counts[sort_digit(params, codes[i])], 1U);
  }
  __syncthreads();
  params.counts[std::int64_t{blockIdx.x} * kSortBins + threadIdx.x] = counts[threadIdx.x];
}

__global__ void __launch_bounds__(kSortThreads) place_codes(SortParams params) {
  __shared__ unsigned places[kSortWarps][kSortBins];
  __shared__ unsigned sums[kSortWarps];
  const std::int64_t segment = blockIdx.x / params.chunks;
  const unsigned chunk = blockIdx.x % params.chunks;
  const unsigned warp = threadIdx.x / kWarpSize;
  const unsigned lane = threadIdx.x % kWarpSize;
  const unsigned first = chunk * kSortTokens + warp * kWarpTokens;
  const unsigned last = min(first + kWarpTokens, params.n);
  const std::uint16_t* codes = params.codes + segment * params.codes_stride;

#pragma unroll
  for (int w = 0; w < kSortWarps; ++w) {
    places[w][threadIdx.x] = 0;
  }
  __syncthreads();
  for (unsigned i = first + lane; i < last; i += kWarpSize) {
    atomicAdd(&places[warp][sort_digit(params, codes[i])], 1U);
  }
  // From here to the next barrier a thread speaks for one digit.
  const unsigned* counts = params.counts + segment * params.chunks * kSortBins + threadIdx.x;
  unsigned earlier = 0;
  unsigned all = 0;
  for (unsigned c = 0; c < params.chunks; ++c) {
    const unsigned count = counts[std::int64_t{c} * kSortBins];
    earlier += c < chunk ? count : 0U;
    all += count;
  }
  unsigned total = 0;
  unsigned place = block_exclusive_sum<kSortThreads>(all, sums, total) + earlier;
#pragma unroll
  for (int w = 0; w < kSortWarps; ++w) {
    const unsigned count = places[w][threadIdx.x];
    places[w][threadIdx.x] = place;
    place += count;
  }
  __syncthreads();

  const std::int32_t* tokens =
      params.tokens == nullptr ? nullptr : params.tokens + segment * params.n;
  for (unsigned group = first; group < last; group += kSortUnroll * kWarpSize) {
    unsigned code[kSortUnroll];
    unsigned peers[kSortUnroll];
#pragma unroll
    for (int u = 0; u < kSortUnroll; ++u) {
      const unsigned i = group + static_cast<unsigned>(u) * kWarpSize + lane;
      code[u] = i < last ? codes[i] : 0U;
      peers[u] = __match_any_sync(kFullMask, i < last ? sort_digit(params, code[u]) : kSortBins);
    }
#pragma unroll
    for (int u = 0; u < kSortUnroll; ++u) {
      const unsigned i = group + static_cast<unsigned>(u) * kWarpSize + lane;
      const unsigned below = peers[u] & ((1U << lane) - 1);
      unsigned* next = &places[warp][sort_digit(params, code[u])];
      const std::int64_t target = *next + static_cast<unsigned>(__popc(below));
      __syncwarp();
      if (i < last) {
        if (below == 0) {
          *next += static_cast<unsigned>(__popc(peers[u]));
        }
        params.sorted_codes[segment * params.n + target] = static_cast<std::uint16_t>(code[u]);
        params.sorted_tokens[segment * params.tokens_stride + target] =
            tokens == nullptr ? static_cast<std::int32_t>(params.begin + i) : tokens[i];
      }
      __syncwarp();
    }
  }
}

/// First of [begin, end) that is not less than `least`, in ascending elements.
template <class T>
__device__ inline unsigned first_from(const T* elements, unsigned begin, unsigned end,
                                      unsigned least) {
  while (begin < end) {
    const unsigned middle = begin + (end - begin) / 2;
    if (static_cast<unsigned>(elements[middle]) < least) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

/// offsets[s, m] for m from 0 to C. @param sorted_codes [S, n] @param offsets [S, C + 1]
__global__ void __launch_bounds__(kSortThreads)
    find_offsets(const std::uint16_t* sorted_codes, unsigned n, unsigned codewords,
                 unsigned code_blocks, std::int32_t* offsets) {
  const std::int64_t segment = blockIdx.x / code_blocks;
  const unsigned m = blockIdx.x % code_blocks * kSortThreads + threadIdx.x;
  if (m <= codewords) {
    offsets[segment * (codewords + 1) + m] =
        static_cast<std::int32_t>(first_from(sorted_codes + segment * n, 0, n, m));
  }
}

/// Codes with a larger key are taken whole; of those with this one, the tokens from `first_token`.
struct BucketThreshold {
  unsigned key;
  unsigned first_token;
};

struct BucketParams {
  const float* table;          ///< [S, G, C]
  const std::uint16_t* codes;  ///< [S, codes_stride]
  std::int64_t codes_stride;
  const std::int32_t* offsets;  ///< [S, C + 1]
  const std::int32_t* tokens;   ///< [S, tokens_stride]
  std::int64_t tokens_stride;
  int codewords;
  int group;
  unsigned tail_begin;  ///< tokens that are not in the buckets
  unsigned tail_end;
  unsigned m;  ///< eligible tokens
  unsigned k;
  const std::int32_t* head_k;
  unsigned code_blocks;  ///< of mark_codes, a query head
  unsigned tail_blocks;
  RetrievedMask mask;
  BucketThreshold* thresholds;  ///< [S, G]
};

/// What one query head reads.
class HeadBuckets {
 public:
  __device__ HeadBuckets(const BucketParams& params, std::int64_t head)
      : m_table(params.table + head * params.codewords),
        m_codes(params.codes + head / params.group * params.codes_stride),
        m_offsets(params.offsets + head / params.group * (params.codewords + 1)),
        m_tokens(params.tokens + head / params.group * params.tokens_stride) {}

  [[nodiscard]] __device__ unsigned key_of_code(int code) const {
    return to_key(AnyScore{m_table[code]});
  }
  [[nodiscard]] __device__ unsigned key_of_token(unsigned token) const {
    return key_of_code(m_codes[token]);
  }
  [[nodiscard]] __device__ unsigned begin(int code) const {
    return static_cast<unsigned>(m_offsets[code]);
  }
  /// First place of a bucket [begin, end) with `token` or a later one.
  [[nodiscard]] __device__ unsigned find(unsigned begin, unsigned end, unsigned token) const {
    return first_from(m_tokens, begin, end, token);
  }
  /// Calls visit(token) for places [begin, end) of every lane; a warp takes one lane's after the
  /// other. All lanes of the warp take part.
  template <class Visit>
  __device__ void expand(unsigned begin, unsigned end, Visit visit) const {
    const unsigned lane = threadIdx.x % kWarpSize;
    for (unsigned left = __ballot_sync(kFullMask, begin < end ? 1 : 0); left != 0;
         left &= left - 1) {
      const int source = __ffs(static_cast<int>(left)) - 1;
      const unsigned last = __shfl_sync(kFullMask, end, source);
      for (unsigned i = __shfl_sync(kFullMask, begin, source) + lane; i < last; i += kWarpSize) {
        visit(static_cast<unsigned>(m_tokens[i]));
      }
    }
  }

 private:
  const float* m_table;
  const std::uint16_t* m_codes;
  const std::int32_t* m_offsets;
  const std::int32_t* m_tokens;
};

/// Calls visit(key, count) for every code with tokens, and for every token of the tail.
template <class Visit>
__device__ inline void for_each_score(const BucketParams& params, const HeadBuckets& head,
                                      Visit visit) {
  for (int m = static_cast<int>(threadIdx.x); m < params.codewords; m += kSelectThreads) {
    const unsigned count = head.begin(m + 1) - head.begin(m);
    if (count != 0) {
      visit(head.key_of_code(m), count);
    }
  }
  for (unsigned j = params.tail_begin + threadIdx.x; j < params.tail_end; j += kSelectThreads) {
    visit(head.key_of_token(j), 1U);
  }
}

/// Calls visit(token, 1) for tokens whose score equals the threshold: of each code the last
/// `threshold.rank`, since no more can be taken, and all of the tail.
template <class Visit>
__device__ inline void for_each_tied(const BucketParams& params, const HeadBuckets& head,
                                     Rank threshold, Visit visit) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int first = static_cast<int>(threadIdx.x) - lane; first < params.codewords;
       first += kSelectThreads) {
    const int m = first + lane;
    unsigned begin = 0;
    unsigned end = 0;
    if (m < params.codewords && head.key_of_code(m) == threshold.prefix) {
      end = head.begin(m + 1);
      begin = max(head.begin(m), end - min(end, threshold.rank));
    }
    head.expand(begin, end, [&](unsigned token) { visit(token, 1U); });
  }
  for (unsigned j = params.tail_begin + threadIdx.x; j < params.tail_end; j += kSelectThreads) {
    if (head.key_of_token(j) == threshold.prefix) {
      visit(j, 1U);
    }
  }
}

/// Block a query head.
__global__ void __launch_bounds__(kSelectThreads) find_thresholds(BucketParams params) {
  __shared__ SelectShared shared;
  const std::int64_t index = blockIdx.x;
  const unsigned k = retrieved_tokens(params.head_k, params.k, params.m, index);
  const HeadBuckets head(params, index);
  BucketThreshold result{0xffffffffU, 0};  // above every key
  unsigned ties = 0;
  if (k > 0) {
    const Rank threshold =
        select_key(k, shared, [&](auto visit) { for_each_score(params, head, visit); });
    result.key = threshold.prefix;
    ties = equal_keys(shared.histogram, threshold);
    if (threshold.rank < ties) {
      // The next histogram takes the place of the one just read.
      __syncthreads();
      result.first_token = select_key(threshold.rank, shared, [&](auto visit) {
                             for_each_tied(params, head, threshold, visit);
                           }).prefix;
    }
  }
  store_ties(params.mask, index, ties);
  if (threadIdx.x == 0) {
    params.thresholds[index] = result;
  }
}

/// Blocks of a query head: one for every kSelectThreads codes, then one for as many tokens of the
/// tail.
__global__ void __launch_bounds__(kSelectThreads) mark_codes(BucketParams params) {
  const unsigned blocks = params.code_blocks + params.tail_blocks;
  const std::int64_t index = blockIdx.x / blocks;
  const unsigned block = blockIdx.x % blocks;
  const HeadBuckets head(params, index);
  const MaskRow row = mask_row(params.mask, index, params.group);
  const BucketThreshold threshold = params.thresholds[index];
  const auto mark = [&](unsigned token) { set_bits(row, token / 32, 1U << token % 32); };
  if (block >= params.code_blocks) {
    const unsigned token =
        params.tail_begin + (block - params.code_blocks) * kSelectThreads + threadIdx.x;
    if (token < params.tail_end) {
      const unsigned key = head.key_of_token(token);
      if (key > threshold.key || (key == threshold.key && token >= threshold.first_token)) {
        mark(token);
      }
    }
    return;
  }
  const int m = static_cast<int>(block * kSelectThreads + threadIdx.x);
  unsigned begin = 0;
  unsigned end = 0;
  if (m < params.codewords) {
    const unsigned key = head.key_of_code(m);
    if (key >= threshold.key) {
      begin = head.begin(m);
      end = head.begin(m + 1);
      if (key == threshold.key) {
        begin = head.find(begin, end, threshold.first_token);
      }
    }
  }
  head.expand(begin, end, mark);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
