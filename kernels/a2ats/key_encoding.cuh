#pragma once
// Keys to codes.
//
// Idea. L is folded into the codewords (codeword_table_device.h), so keys of any dtype go into the
// search as they are. key_encoding searches tile by tile (nearest_codeword.cuh). append_code has
// one key a segment and so nothing to share: a thread takes one codeword and reads its weights
// once, 128 codewords a block; blocks of a segment meet in an atomic minimum of (distance, code),
// which no order changes, and the last one to arrive stores the code.
//
// Tiles are cut at multiples of their length, counted in tokens of the sequence: a multiple of 32
// bits in either format, so no two blocks write one word. Only the first word of a range can hold
// older codes; the block that owns it keeps them.
//
// Bytes a block: key_encoding's are nearest_codeword.cuh's; append_code's are 512 d of weights.
// Limits: S <= 65535, C <= 65536, packed C <= 4096.

#include "a2ats/key_encoding_device.h"
#include "a2ats/nearest_codeword.cuh"
#include "a2ats/packed_codes.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kAppendThreads = static_cast<int>(kSearchCodewords);
inline constexpr int kUnpackThreads = 256;

template <class X>
struct KeyEncodingTask {
  const X* keys;
  std::int64_t segment_stride;
  std::int64_t token_stride;
  std::int64_t tokens;
  std::int64_t first;
  CodewordTable table;
  CodeStore store;

  __device__ SearchTable codebook(std::int64_t segment) const {
    return codebook_of(table, segment % table.kv_heads);
  }
};

/// Stores codes [begin, end) of a segment; code(j) is token j's. All threads of the block.
template <class Code>
__device__ inline void store_codes(const CodeStore& store, std::int64_t segment, std::int64_t begin,
                                   std::int64_t end, const Code& code) {
  if (store.format == CodeFormat::kUint16) {
    for (std::int64_t j = begin + threadIdx.x; j < end; j += blockDim.x) {
      store.codes[segment * store.stride + j] = static_cast<std::uint16_t>(code(j));
    }
  } else {
    unsigned* words = store.words + segment * store.stride;
    const std::int64_t last = word_of_code(end - 1) + 1;
    const bool reaches = end * kPackedCodeBits > last * 32;
    for (std::int64_t w = word_of_code(begin) + threadIdx.x; w < last + (reaches ? 1 : 0);
         w += blockDim.x) {
      const unsigned old = w * 32 < begin * kPackedCodeBits ? words[w] : 0U;
      words[w] = packed_word(w, begin, end, old, code);
    }
  }
}

/// grid (tiles, S), block kSearchThreads, dynamic shared memory SearchShared.
template <class X, int kHeadDim>
__global__ void __launch_bounds__(kSearchThreads<kHeadDim>, 2)
    key_encoding_kernel(const KeyEncodingTask<X> task) {
  constexpr std::int64_t kRows = kSearchRows<kHeadDim>;
  auto& shared = *dynamic_shared<SearchShared<kHeadDim>>();
  const std::int64_t segment = blockIdx.y;
  const std::int64_t tile = (task.first / kRows + blockIdx.x) * kRows;
  const std::int64_t begin = max(tile, task.first);
  const std::int64_t end = min(tile + kRows, task.first + task.tokens);
  const X* keys =
      task.keys + segment * task.segment_stride + (begin - task.first) * task.token_stride;
  find_nearest<false, kHeadDim>(keys, task.token_stride, static_cast<int>(end - begin),
                                task.codebook(segment), shared);
  store_codes(task.store, segment, begin, end,
              [&](std::int64_t j) { return shared.nearest[j - begin]; });
}

/// What the blocks of a segment share, zero between launches.
struct AppendState {
  Candidate worst;   ///< the complement of the best candidate: a maximum, so that it starts at 0
  unsigned arrived;  ///< blocks
};

/// grid (padded / 128, S).
template <class X, int kHeadDim>
__global__ void __launch_bounds__(kAppendThreads)
    append_code_kernel(const KeyEncodingTask<X> task, AppendState* states) {
  __shared__ float key[kHeadDim];
  __shared__ Candidate warps[kAppendThreads / kWarpSize];
  const std::int64_t segment = blockIdx.y;
  const SearchTable table = task.codebook(segment);
  for (int t = static_cast<int>(threadIdx.x); t < kHeadDim; t += kAppendThreads) {
    key[t] = to_float(task.keys[segment * task.segment_stride + t]) - table.center[t];
  }
  __syncthreads();
  const unsigned codeword = blockIdx.x * kAppendThreads + threadIdx.x;
  const float* weights = table.weights + codeword;
  float sum = 0.0F;
#pragma unroll 16
  for (int t = 0; t < kHeadDim; ++t) {
    sum = fmaf(key[t], weights[static_cast<std::int64_t>(t) * table.padded], sum);
  }
  const auto better = [](Candidate a, Candidate b) { return a < b ? a : b; };
  const Candidate best = lanes_reduce<kWarpSize / 2, 1>(
      make_candidate(table.biases[codeword] - sum, codeword), better);
  if (threadIdx.x % kWarpSize == 0) {
    warps[threadIdx.x / kWarpSize] = best;
  }
  __syncthreads();
  if (threadIdx.x != 0) {
    return;
  }
  Candidate block_best = warps[0];
  for (const Candidate candidate : warps) {
    block_best = better(block_best, candidate);
  }
  AppendState& state = states[segment];
  atomicMax(&state.worst, ~block_best);
  __threadfence();
  // The last block to arrive wraps the count back to zero.
  if (atomicInc(&state.arrived, gridDim.x - 1) != gridDim.x - 1) {
    return;
  }
  __threadfence();
  const unsigned code = codeword_of(~atomicExch(&state.worst, 0ULL));
  const CodeStore& store = task.store;
  if (store.format == CodeFormat::kUint16) {
    store.codes[segment * store.stride + task.first] = static_cast<std::uint16_t>(code);
  } else {
    unsigned* words = store.words + segment * store.stride;
    const std::int64_t begin = task.first;
    for (std::int64_t w = word_of_code(begin); w < packed_words(begin + 1); ++w) {
      words[w] = packed_word(w, begin, begin + 1, words[w], [&](std::int64_t) { return code; });
    }
  }
}

/// grid (token blocks, S), a thread a token.
__global__ void __launch_bounds__(kUnpackThreads) unpack_codes_kernel(const UnpackCodesArgs args) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kUnpackThreads + threadIdx.x;
  const std::int64_t segment = blockIdx.y;
  if (j < args.tokens) {
    args.codes[segment * args.codes_stride + j] = static_cast<std::uint16_t>(
        unpack_code(args.words + segment * args.words_stride, args.first + j));
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
