#pragma once
// One decode step over segments of tokens, wherever their rows lie (RaggedRows, ListedRows).
//
// Idea: three kernels. The first turns lengths into starts. In the second a block takes one share,
// an equal number of tokens of all segments laid end to end, and leaves an unnormalised partial
// result (maximum, sum, output) for each segment that it touches. The third merges the parts of a
// segment, in token order, so that the bits do not depend on the order of blocks.
//
// Threads: a team of lanes reads a row of K or V, 16 bytes (of the longest rows 32) a lane; a warp
// holds several teams. Teams take tokens in turn, a batch at a time: a batch's values are requested
// before its scores are computed, the next batch's keys before its values are used. A lane keeps
// its slice of G queries and outputs in registers; K and V are read once for all G. Rows tells
// where they lie: row j of segment s is at element<d>(begin(s), j) of keys() and of values(); a
// part asks begin(s) once.
//
// Bytes: 2 d elements a token and, from the caches, a last row again for each token that a batch
// lacks; a part costs 4 d G of queries a warp, and G (d + 2) floats written and read.
// Limits: d in kDeviceHeadDims, G <= 8; G is rounded up to a power of two, the rest being zero.

#include <cstdint>

#include "attention/ragged_decode_device.h"
#include "exec/device/device.cuh"
#include "exec/device/dispatch.h"
#include "exec/device/dtype.cuh"
#include "exec/device/numeric.cuh"
#include "exec/device/warp.cuh"
#include "kvsieve/kernels/ragged_decode.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kDecodeThreads = 128;
inline constexpr int kDecodeWarps = kDecodeThreads / kWarpSize;
/// Of a block of the merge, for the longest row.
inline constexpr int kMostMergeThreads = static_cast<int>(kDeviceHeadDims.back());
/// Tokens that a team asks for at once.
template <int kGroup>
inline constexpr int kDecodeBatch = kGroup <= 4 ? 4 : 2;
inline constexpr float kLog2E = 1.44269504088896341F;
inline constexpr float kLn2 = 0.693147180559945309F;

/// What the kernels share. Scores are kept in units of log2, so that exp2f suffices.
template <class Rows>
struct DecodeParams {
  Rows rows;
  const void* queries;
  bool float_queries;  ///< F32, else the cache's dtype
  int group;           ///< G
  float scale;
  float softcap;  ///< 0: none
  float* out;
  float* log_sums;
  std::int64_t shares;
  std::int64_t* starts = nullptr;  ///< [S + 1]
  float* parts = nullptr;          ///< [shares + S, G, d + 2]: output, then maximum and sum
};

/// Parts of a row that one lane reads.
template <class T, int kHeadDim>
struct DecodeTeam {
  static constexpr int kRowVectors = kHeadDim * static_cast<int>(sizeof(T)) / 16;
  static constexpr int kLanes = kRowVectors <= 8 ? 8 : kRowVectors <= 16 ? 16 : 32;
  static constexpr int kVectors = (kRowVectors + kLanes - 1) / kLanes;
  static constexpr int kPerVector = Vector16<T>::kSize;
  static constexpr int kPerLane = kVectors * kPerVector;
  static constexpr int kTeams = kDecodeThreads / kLanes;
};

/// A lane's slice of a row. Lanes beyond the row hold zeros.
template <class T, int kHeadDim>
struct DecodeSlice {
  using Team = DecodeTeam<T, kHeadDim>;
  Vector16<T> vectors[Team::kVectors];

  __device__ void load(const T* row, int lane) {
#pragma unroll
    for (int v = 0; v < Team::kVectors; ++v) {
      const int index = v * Team::kLanes + lane;
      if (index < Team::kRowVectors) {
        vectors[v] = load16(row + index * Team::kPerVector);
      } else {
        vectors[v] = {};
      }
    }
  }
  __device__ float number(int i) const {
    return to_float(vectors[i / Team::kPerVector].values[i % Team::kPerVector]);
  }
};

/// Running attention of a team over its tokens.
template <int kGroup, int kPerLane>
struct DecodeState {
  float out[kGroup][kPerLane];
  float max[kGroup];
  float sum[kGroup];

  __device__ void clear() {
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
      max[g] = -INFINITY;
      sum[g] = 0.0F;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        out[g][i] = 0.0F;
      }
    }
  }
};

/// exp2(a - b) where a <= b; a part without tokens has a = -inf, and perhaps b too.
__device__ inline float decode_share_of(float a, float b) {
  return a == -INFINITY ? 0.0F : exp2f(a - b);
}

/// c tanh(x / c), c > 0.
__device__ inline float decode_softcap(float x, float c) {
  const float decayed = expf(-2.0F * fabsf(x) / c);
  const float magnitude = c * (1.0F - decayed) / (1.0F + decayed);
  return x < 0.0F ? -magnitude : magnitude;
}

/// The tokens before each segment.
template <class Rows>
__global__ void __launch_bounds__(kDecodeThreads) decode_starts_kernel(DecodeParams<Rows> params) {
  __shared__ std::int64_t warp_sums[kDecodeWarps];
  std::int64_t before = 0;
  for (std::int64_t first = 0; first < params.rows.segments(); first += kDecodeThreads) {
    const std::int64_t s = first + static_cast<std::int64_t>(threadIdx.x);
    const std::int64_t length = s < params.rows.segments() ? params.rows.length(s) : 0;
    std::int64_t total = 0;
    const std::int64_t below = block_exclusive_sum<kDecodeThreads>(length, warp_sums, total);
    if (s < params.rows.segments()) {
      params.starts[s] = before + below;
    }
    before += total;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    params.starts[params.rows.segments()] = before;
  }
}

/// Adds the team states of a warp, then those of the block's warps, and writes the part.
template <class T, int kHeadDim, int kGroup, class Rows>
__device__ void decode_write_part(const DecodeParams<Rows>& params,
                                  DecodeState<kGroup, DecodeTeam<T, kHeadDim>::kPerLane>& state,
                                  std::int64_t slot) {
  using Team = DecodeTeam<T, kHeadDim>;
  constexpr int kRow = kHeadDim + 2;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
#pragma unroll
    for (int offset = Team::kLanes; offset < kWarpSize; offset *= 2) {
      const float other_max = __shfl_xor_sync(kFullMask, state.max[g], offset);
      const float other_sum = __shfl_xor_sync(kFullMask, state.sum[g], offset);
      const float max = fmaxf(state.max[g], other_max);
      const float mine = decode_share_of(state.max[g], max);
      const float theirs = decode_share_of(other_max, max);
      state.max[g] = max;
      state.sum[g] = mine * state.sum[g] + theirs * other_sum;
#pragma unroll
      for (int i = 0; i < Team::kPerLane; ++i) {
        const float other = __shfl_xor_sync(kFullMask, state.out[g][i], offset);
        state.out[g][i] = mine * state.out[g][i] + theirs * other;
      }
    }
  }
  float* shared = dynamic_shared<float>();
  // The part before may still be read.
  __syncthreads();
  if (lane < Team::kLanes) {
    float* rows = shared + warp * kGroup * kRow;
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
#pragma unroll
      for (int i = 0; i < Team::kPerLane; ++i) {
        const int vector = i / Team::kPerVector * Team::kLanes + lane;
        if (vector < Team::kRowVectors) {
          rows[g * kRow + vector * Team::kPerVector + i % Team::kPerVector] = state.out[g][i];
        }
      }
      if (lane == 0) {
        rows[g * kRow + kHeadDim] = state.max[g];
        rows[g * kRow + kHeadDim + 1] = state.sum[g];
      }
    }
  }
  __syncthreads();
  const int count = params.group * kRow;
  float* part = params.parts + slot * count;
  // A warp's lanes leave the loop together. Since Volta, lanes need not reconverge by themselves:
  // those that left earlier could go on alone, and ask apart for what the next part begins with.
  for (int first = warp * kWarpSize; first < count; first += kDecodeThreads) {
    const int index = first + lane;
    if (index < count) {
      const int g = index / kRow;
      const int i = index % kRow;
      float max = -INFINITY;
#pragma unroll
      for (int w = 0; w < kDecodeWarps; ++w) {
        max = fmaxf(max, shared[(w * kGroup + g) * kRow + kHeadDim]);
      }
      float sum = 0.0F;
#pragma unroll
      for (int w = 0; w < kDecodeWarps; ++w) {
        const float* row = shared + (w * kGroup + g) * kRow;
        sum += decode_share_of(row[kHeadDim], max) * row[i];
      }
      part[index] = i == kHeadDim ? max : sum;
    }
  }
}

/// Neighbouring numbers by loads of 16 bytes, which the address is aligned to.
template <class X, int kCount>
__device__ inline void decode_query_numbers(const X* address, float (&numbers)[kCount]) {
  constexpr int kSize = Vector16<X>::kSize;
#pragma unroll
  for (int first = 0; first < kCount; first += kSize) {
    const Vector16<X> vector = load16(address + first);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      numbers[first + i] = to_float(vector.values[i]);
    }
  }
}

template <class T, int kHeadDim, int kGroup, class Rows>
__device__ inline void decode_load_queries(
    const DecodeParams<Rows>& params, std::int64_t segment, int lane,
    float (&queries)[kGroup][DecodeTeam<T, kHeadDim>::kPerLane]) {
  using Team = DecodeTeam<T, kHeadDim>;
  const float factor = params.softcap > 0.0F ? params.scale : params.scale * kLog2E;
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
#pragma unroll
    for (int v = 0; v < Team::kVectors; ++v) {
      const int index = v * Team::kLanes + lane;
      float numbers[Team::kPerVector] = {};
      if (g < params.group && index < Team::kRowVectors) {
        const std::int64_t at = (segment * params.group + g) * kHeadDim + index * Team::kPerVector;
        if (params.float_queries) {
          decode_query_numbers(static_cast<const float*>(params.queries) + at, numbers);
        } else {
          decode_query_numbers(static_cast<const T*>(params.queries) + at, numbers);
        }
      }
#pragma unroll
      for (int i = 0; i < Team::kPerVector; ++i) {
        queries[g][v * Team::kPerVector + i] = numbers[i] * factor;
      }
    }
  }
}

/// Attention of one share.
template <class Rows, class T, int kHeadDim, int kGroup>
__global__ void __launch_bounds__(kDecodeThreads, 2)
    decode_shares_kernel(DecodeParams<Rows> params) {
  using Team = DecodeTeam<T, kHeadDim>;
  constexpr int kBatch = kDecodeBatch<kGroup>;
  const int team = static_cast<int>(threadIdx.x) / Team::kLanes;
  const int lane = static_cast<int>(threadIdx.x) % Team::kLanes;
  const T* keys = static_cast<const T*>(params.rows.keys());
  const T* values = static_cast<const T*>(params.rows.values());
  const std::int64_t total = params.starts[params.rows.segments()];
  DecodePartCursor cursor(params.starts, params.rows.segments(),
                          decode_share_tokens(total, params.shares),
                          static_cast<std::int64_t>(blockIdx.x));
  DecodePart part;
  while (cursor.next(part)) {
    float queries[kGroup][Team::kPerLane];
    decode_load_queries<T, kHeadDim, kGroup>(params, part.segment, lane, queries);
    DecodeState<kGroup, Team::kPerLane> state;
    state.clear();
    const std::int64_t begin = params.rows.begin(part.segment);
    // Tokens behind the end stand for the last one, with a score of -inf.
    const auto row_at = [&](int first, int b) {
      const int token = min(first + b * Team::kTeams + team, part.end - 1);
      return params.rows.template element<kHeadDim>(begin, token);
    };
    DecodeSlice<T, kHeadDim> k[kBatch];
    DecodeSlice<T, kHeadDim> v[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      k[b].load(keys + row_at(part.begin, b), lane);
    }
    for (int first = part.begin; first < part.end; first += kBatch * Team::kTeams) {
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        v[b].load(values + row_at(first, b), lane);
      }
      float scores[kGroup][kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
#pragma unroll
        for (int g = 0; g < kGroup; ++g) {
          scores[g][b] = 0.0F;
        }
#pragma unroll
        for (int i = 0; i < Team::kPerLane; ++i) {
          const float x = k[b].number(i);
#pragma unroll
          for (int g = 0; g < kGroup; ++g) {
            scores[g][b] = fmaf(queries[g][i], x, scores[g][b]);
          }
        }
      }
      const int next = first + kBatch * Team::kTeams;
      if (next < part.end) {
#pragma unroll
        for (int b = 0; b < kBatch; ++b) {
          k[b].load(keys + row_at(next, b), lane);
        }
      }
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
        float max = state.max[g];
#pragma unroll
        for (int b = 0; b < kBatch; ++b) {
          float score = lanes_sum<Team::kLanes / 2>(scores[g][b]);
          if (params.softcap > 0.0F) {
            score = decode_softcap(score, params.softcap) * kLog2E;
          }
          scores[g][b] = first + b * Team::kTeams + team < part.end ? score : -INFINITY;
          max = fmaxf(max, scores[g][b]);
        }
        const float change = decode_share_of(state.max[g], max);
        state.max[g] = max;
        state.sum[g] *= change;
#pragma unroll
        for (int i = 0; i < Team::kPerLane; ++i) {
          state.out[g][i] *= change;
        }
#pragma unroll
        for (int b = 0; b < kBatch; ++b) {
          scores[g][b] = decode_share_of(scores[g][b], max);
          state.sum[g] += scores[g][b];
        }
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
#pragma unroll
        for (int i = 0; i < Team::kPerLane; ++i) {
          const float x = v[b].number(i);
#pragma unroll
          for (int g = 0; g < kGroup; ++g) {
            state.out[g][i] = fmaf(scores[g][b], x, state.out[g][i]);
          }
        }
      }
    }
    decode_write_part<T, kHeadDim, kGroup>(params, state, part.slot);
  }
}

/// Merges the parts of a segment for one query head a block, as many at a time as it has threads;
/// a thread a number.
template <class Rows>
__global__ void __launch_bounds__(kMostMergeThreads)
    decode_merge_kernel(DecodeParams<Rows> params) {
  __shared__ float maxima[kMostMergeThreads];
  __shared__ float weights[kMostMergeThreads];
  __shared__ float sums[kMostMergeThreads];
  const int thread = static_cast<int>(threadIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  const std::int64_t d = params.rows.head_dim();
  const std::int64_t s = static_cast<std::int64_t>(blockIdx.x) / params.group;
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) % params.group;
  const std::int64_t share_tokens =
      decode_share_tokens(params.starts[params.rows.segments()], params.shares);
  const std::int64_t begin = params.starts[s];
  const std::int64_t end = params.starts[s + 1];
  const std::int64_t first = begin / share_tokens + s;
  const std::int64_t last = begin < end ? (end - 1) / share_tokens + s : first - 1;
  const auto part = [&](std::int64_t slot) {
    return params.parts + (slot * params.group + g) * (d + 2);
  };
  // Threads behind the row stand for its last number.
  const std::int64_t number = min(static_cast<std::int64_t>(thread), d - 1);
  float max = -INFINITY;
  float sum = 0.0F;
  float total = 0.0F;
  for (std::int64_t slot = first; slot <= last; slot += threads) {
    const int count = static_cast<int>(min(last + 1 - slot, static_cast<std::int64_t>(threads)));
    float my_max = -INFINITY;
    float my_sum = 0.0F;
    if (thread < count) {
      my_max = part(slot + thread)[d];
      my_sum = part(slot + thread)[d + 1];
    }
    maxima[thread] = my_max;
    __syncthreads();
    const float max_before = max;
    for (int p = 0; p < count; ++p) {
      max = fmaxf(max, maxima[p]);
    }
    weights[thread] = decode_share_of(my_max, max);
    sums[thread] = my_sum;
    __syncthreads();
    const float change = decode_share_of(max_before, max);
    sum *= change;
    total *= change;
    // Eight parts' numbers are requested before the first is used.
#pragma unroll 8
    for (int p = 0; p < count; ++p) {
      sum += weights[p] * sums[p];
      total += weights[p] * part(slot + p)[number];
    }
  }
  if (thread < d) {
    const float factor = first <= last ? 1.0F / sum : 0.0F;
    params.out[static_cast<std::int64_t>(blockIdx.x) * d + thread] = total * factor;
  }
  if (thread == 0 && params.log_sums != nullptr) {
    params.log_sums[blockIdx.x] = first <= last ? fmaf(max, kLn2, logf(sum)) : -INFINITY;
  }
}

/// Calls body.template operator()<group>() with G rounded up to a power of two.
template <class Body>
void dispatch_decode_group(std::string_view operation, std::int64_t group, const Body& body) {
  require_group(operation, group);
  if (group == 1) {
    body.template operator()<1>();
  } else if (group == 2) {
    body.template operator()<2>();
  } else if (group <= 4) {
    body.template operator()<4>();
  } else {
    body.template operator()<8>();
  }
}

// Not in launch_decode's lambdas: g++ 12 forgets to instantiate kernels that only those name,
// unless their own template parameters occur in them.
template <class Rows>
void launch_decode_starts(const DecodeParams<Rows>& params, Stream& stream) {
  launch<decode_starts_kernel<Rows>>(decode_starts_config(), stream, params);
}
template <class Rows>
void launch_decode_merge(const DecodeParams<Rows>& params, Stream& stream) {
  launch<decode_merge_kernel<Rows>>(
      decode_merge_config(params.rows.segments(), params.group, params.rows.head_dim()), stream,
      params);
}

/// Enqueues the three kernels. Takes `starts` and `parts` from the workspace
/// (decode_workspace_bytes).
template <class Rows>
void launch_decode(std::string_view operation, DecodeParams<Rows> params, traces::DType dtype,
                   void* workspace, Stream& stream) {
  require_contract(reinterpret_cast<std::uintptr_t>(params.queries) % 16 == 0, operation,
                   "queries are not aligned to 16 bytes");
  auto* bytes = static_cast<unsigned char*>(workspace);
  params.starts = reinterpret_cast<std::int64_t*>(bytes);
  params.parts = reinterpret_cast<float*>(bytes + decode_starts_bytes(params.rows.segments()));
  dispatch_dtype(operation, dtype, [&]<class T>() {
    dispatch_head_dim(operation, params.rows.head_dim(), [&]<int kHeadDim>() {
      dispatch_decode_group(operation, params.group, [&]<int kGroup>() {
        launch_decode_starts(params, stream);
        launch<decode_shares_kernel<Rows, T, kHeadDim, kGroup>>(
            decode_shares_config(params.shares, kHeadDim, params.group), stream, params);
        launch_decode_merge(params, stream);
      });
    });
  });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
