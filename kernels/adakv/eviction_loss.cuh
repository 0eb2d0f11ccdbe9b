#pragma once
// Eviction losses of one layer.
//
// Idea. The output after an eviction is the kept part of the same weighted sum: with p_j = exp(s_j
// - m) over the keys that a row sees, o = sum p_j v_j / sum p_j and o^ = the same two sums over the
// kept j. So one pass of online softmax over the keys serves several selections: it keeps the
// running sums once for all keys and once for each selection's kept keys. The kept bits of 32
// tokens are one word and the same for all rows of a block, so a selection costs FMAs for its kept
// tokens only: d a token and row beside the 2 d of the attention itself. A launch a selection would
// repeat the 2 d each time; storing the weights for a second pass needs 4 Hq R T bytes (1 GiB at 32
// heads, 256 queries, 32768 tokens) and saves d FMAs. Hence passes of a few selections, as many as
// leave registers for two blocks on a multiprocessor (d = 256: one block).
//
// Exactness. Kept sums add 0 for what is evicted, otherwise the same numbers in the same order as
// the full sums. Where all that a row sees is kept, the two agree bit for bit and the difference is
// 0; and since rounding is monotonous, F <= 1 and K <= T always. The FMAs are explicit because a
// compiler may contract one of two equal sums and not the other.
//
// Block: 32 rows of one query head, 8 warps of 4 rows. Keys and values come in tiles of 32 tokens
// by cp.async; the values arrive while the scores are computed, the next keys while the values are
// weighed. Scores: lane = (key group kg, quarter c); it multiplies 4 rows by the keys kg + 8i over
// every fourth piece of 4 channels, then the quad exchanges partial sums so that lane c holds row
// c. Softmax stays within a warp. Values: lane = channels lane + 32i of all 4 rows; the weights
// come from shared memory as one broadcast of 16 bytes a key.
//
// Bytes a block: 128 d of queries once; a tile reads 64 d elements for 32 * 32 * 2 d FMAs and more,
// and 4 a norm, 4 a selection and warp. Blocks of a group's heads read the same tiles, from L2.
//
// Limits: shared memory holds 4 bytes * 32 * 3 d and some (55 KiB at d = 128, 103 KiB at 256,
// fp32); few queries mean few blocks, because the keys are not split.

#include <cfloat>

#include "exec/device/load4.cuh"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kLossWarps = 8;
inline constexpr int kLossThreads = kLossWarps * kWarpSize;
inline constexpr int kLossWarpRows = 4;
inline constexpr int kLossRows = kLossWarps * kLossWarpRows;
inline constexpr int kLossTile = 32;  // tokens; a word of kept bits, a lane each
inline constexpr int kLossKeyGroups = 8;
inline constexpr int kLossLaneKeys = kLossTile / kLossKeyGroups;
// Weighs nothing and stays finite, so that exp(kUnseen - kUnseen) is no NaN.
inline constexpr float kUnseen = -FLT_MAX;

static_assert(kLossRows == kWarpSize, "a lane a row reduces what a block sees");
static_assert(kLossKeyGroups * kLossWarpRows == kWarpSize, "a lane a key group and row");

/// Channels of a lane.
template <int kHeadDim>
inline constexpr int kLossLaneChannels = (kHeadDim + kWarpSize - 1) / kWarpSize;

/// Sums of a lane are 4 rows times its channels, once for all keys and once a selection. With two
/// blocks on a multiprocessor they share 128 registers with the scores in progress, which is why
/// the loops over pieces, channels and keys are not unrolled either.
template <int kHeadDim>
inline constexpr int kLossSelections = kHeadDim <= 64 ? 3 : 2;
template <int kHeadDim>
inline constexpr int kLossBlocks = kHeadDim <= 128 ? 2 : 1;

template <class T>
struct EvictionLossTask {
  const float* queries;
  const int* positions;
  const T* keys;
  const T* values;
  const float* norms;
  const unsigned* kept;
  float* output;
  float* difference;
  float* retained_mass;
  float* kept_norm;
  float* total_norm;
  int group;
  int query_count;
  int tokens;
  int selections;
  int units;
  float scale;
  float softcap;       // 0: none
  int sliding_window;  // 0: none
};

template <class T, int kHeadDim>
struct EvictionLossShared {
  // Two rows, or four of 2-byte elements, apart by half a turn of the banks: a quarter-warp's loads
  // of 4 elements from neighbouring keys do not collide.
  static constexpr int kKeyStride = kHeadDim + (kHeadDim % 32 == 0 ? 16 : 0);

  alignas(16) float queries[kLossRows * kHeadDim];
  alignas(16) T keys[kLossTile * kKeyStride];
  alignas(16) T values[kLossTile * kHeadDim];
  alignas(16) float weights[kLossWarps][kLossTile * kLossWarpRows];
  alignas(16) float norms[kLossTile];
};

/// Tokens [begin, end) that a row sees.
struct SeenTokens {
  int begin;
  int end;
};

template <class T>
__device__ inline SeenTokens seen_tokens(const EvictionLossTask<T>& task, int row) {
  if (row >= task.query_count) {
    return {task.tokens, 0};
  }
  const int position = task.positions[row];
  const int begin = task.sliding_window > 0 ? max(0, position - task.sliding_window + 1) : 0;
  return {begin, min(position, task.tokens - 1) + 1};
}

/// The union over lanes that differ in the bits of `mask`.
template <int kMask>
__device__ inline SeenTokens unite(SeenTokens seen) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    if ((kMask & offset) != 0) {
      seen.begin = min(seen.begin, __shfl_xor_sync(kFullMask, seen.begin, offset));
      seen.end = max(seen.end, __shfl_xor_sync(kFullMask, seen.end, offset));
    }
  }
  return seen;
}

/// Copies the block's queries; rows past the last repeat it, they are never stored.
template <int kHeadDim>
__device__ inline void load_queries(const float* queries, int first, int count, float* shared) {
  constexpr int kPieces = kHeadDim / 4;
  for (int i = static_cast<int>(threadIdx.x); i < kLossRows * kPieces; i += kLossThreads) {
    const int row = min(first + i / kPieces, count - 1);
    __pipeline_memcpy_async(
        shared + 4 * i, queries + static_cast<std::int64_t>(row) * kHeadDim + i % kPieces * 4, 16);
  }
}

/// Starts copying a tile [32, d]; rows past the last token repeat it, they weigh nothing.
template <class T, int kHeadDim, int kStride>
__device__ inline void load_tile(const T* rows, int first, int tokens, T* shared) {
  constexpr int kSize = Vector16<T>::kSize;
  constexpr int kPieces = kHeadDim / kSize;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < kLossTile * kPieces; i += kLossThreads) {
    const int token = min(first + i / kPieces, tokens - 1);
    const int channel = i % kPieces * kSize;
    __pipeline_memcpy_async(shared + i / kPieces * kStride + channel,
                            rows + static_cast<std::int64_t>(token) * kHeadDim + channel, 16);
  }
}

/// Starts copying the value norms of a tile.
__device__ inline void load_norms(const float* norms, int first, int tokens, float* shared) {
  const int lane = static_cast<int>(threadIdx.x);
  if (norms != nullptr && lane < kLossTile) {
    __pipeline_memcpy_async(shared + lane, norms + min(first + lane, tokens - 1), 4);
  }
}

/// Sums over the four lanes of a quad; lane c of the quad gets row c.
__device__ inline void sum_quad(const float (&partial)[kLossWarpRows][kLossLaneKeys],
                                float (&row)[kLossLaneKeys]) {
  const bool upper = (threadIdx.x & 2U) != 0;
  const bool odd = (threadIdx.x & 1U) != 0;
  float half[2][kLossLaneKeys];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int i = 0; i < kLossLaneKeys; ++i) {
      const float given = upper ? partial[r][i] : partial[2 + r][i];
      half[r][i] =
          (upper ? partial[2 + r][i] : partial[r][i]) + __shfl_xor_sync(kFullMask, given, 2);
    }
  }
#pragma unroll
  for (int i = 0; i < kLossLaneKeys; ++i) {
    const float given = odd ? half[0][i] : half[1][i];
    row[i] = (odd ? half[1][i] : half[0][i]) + __shfl_xor_sync(kFullMask, given, 1);
  }
}

/// q . k of the warp's rows and the tile's keys: lane (kg, c) gets row c, keys kg + 8i.
template <class T, int kHeadDim>
__device__ inline void multiply_keys(const EvictionLossShared<T, kHeadDim>& shared,
                                     float (&products)[kLossLaneKeys]) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  constexpr int kKeyStride = EvictionLossShared<T, kHeadDim>::kKeyStride;
  const float* queries = shared.queries + warp * kLossWarpRows * kHeadDim + lane % 4 * 4;
  const T* keys = shared.keys + lane / 4 * kKeyStride + lane % 4 * 4;
  float partial[kLossWarpRows][kLossLaneKeys] = {};
#pragma unroll 1
  for (int channel = 0; channel < kHeadDim; channel += 16) {
    float key[kLossLaneKeys][4];
#pragma unroll
    for (int i = 0; i < kLossLaneKeys; ++i) {
      load4(keys + i * kLossKeyGroups * kKeyStride + channel, key[i]);
    }
#pragma unroll
    for (int r = 0; r < kLossWarpRows; ++r) {
      float query[4];
      load4(queries + r * kHeadDim + channel, query);
#pragma unroll
      for (int i = 0; i < kLossLaneKeys; ++i) {
#pragma unroll
        for (int t = 0; t < 4; ++t) {
          partial[r][i] = fmaf(query[t], key[i][t], partial[r][i]);
        }
      }
    }
  }
  sum_quad(partial, products);
}

/// The largest of the lanes that share a row.
__device__ inline float row_max(float value) {
  return lanes_max<kWarpSize / 2, kLossWarpRows>(value);
}
/// The sum over the lanes that share a row.
__device__ inline float row_sum(float value) {
  return lanes_sum<kWarpSize / 2, kLossWarpRows>(value);
}

/// Turns products into softmax numerators below the row's running maximum. Returns the factor that
/// brings earlier sums to the new maximum.
template <class T>
__device__ inline float soften(const EvictionLossTask<T>& task, SeenTokens seen, int first,
                               float& maximum, float (&row)[kLossLaneKeys]) {
  const int first_key = first + static_cast<int>(threadIdx.x) % kWarpSize / 4;
  float largest = maximum;
#pragma unroll
  for (int i = 0; i < kLossLaneKeys; ++i) {
    const int key = first_key + i * kLossKeyGroups;
    row[i] *= task.scale;
    if (task.softcap > 0.0F) {
      row[i] = apply_softcap(row[i], task.softcap);
    }
    if (key < seen.begin || key >= seen.end) {
      row[i] = kUnseen;
    }
    largest = fmaxf(largest, row[i]);
  }
  largest = row_max(largest);
#pragma unroll
  for (int i = 0; i < kLossLaneKeys; ++i) {
    row[i] = row[i] == kUnseen ? 0.0F : expf(row[i] - largest);
  }
  const float factor = expf(maximum - largest);
  maximum = largest;
  return factor;
}

/// Sums of weights and of weights times norms; a lane's are those of its keys.
struct RowSums {
  float mass = 0.0F;
  float norm = 0.0F;

  /// Adds the keys whose bit is set, lowest bit = the lane's first key.
  __device__ void add(float factor, const float (&weights)[kLossLaneKeys],
                      const float (&norms)[kLossLaneKeys], unsigned bits) {
    float tile_mass = 0.0F;
    float tile_norm = 0.0F;
#pragma unroll
    for (int i = 0; i < kLossLaneKeys; ++i) {
      const float weight = (bits >> (i * kLossKeyGroups) & 1U) != 0 ? weights[i] : 0.0F;
      tile_mass += weight;
      tile_norm = fmaf(weight, norms[i], tile_norm);
    }
    mass = fmaf(mass, factor, tile_mass);
    norm = fmaf(norm, factor, tile_norm);
  }

  __device__ void reduce() {
    mass = row_sum(mass);
    norm = row_sum(norm);
  }
};

/// Sums of weighted values: 4 rows, the lane's channels.
template <int kChannels>
struct ValueSums {
  float rows[kLossWarpRows][kChannels] = {};

  __device__ void scale(const float (&factors)[kLossWarpRows]) {
#pragma unroll
    for (int r = 0; r < kLossWarpRows; ++r) {
#pragma unroll
      for (int i = 0; i < kChannels; ++i) {
        rows[r][i] *= factors[r];
      }
    }
  }

  __device__ void add(const float (&weights)[kLossWarpRows], const float (&values)[kChannels]) {
#pragma unroll
    for (int r = 0; r < kLossWarpRows; ++r) {
#pragma unroll
      for (int i = 0; i < kChannels; ++i) {
        rows[r][i] = fmaf(weights[r], values[i], rows[r][i]);
      }
    }
  }
};

/// Everything that a warp accumulates.
template <int kHeadDim>
struct LossSums {
  static constexpr int kChannels = kLossLaneChannels<kHeadDim>;
  static constexpr int kSelections = kLossSelections<kHeadDim>;

  float maximum = kUnseen;  // of the lane's row
  RowSums full;
  RowSums kept[kSelections];
  ValueSums<kChannels> full_values;
  ValueSums<kChannels> kept_values[kSelections];

  __device__ void rescale_values(float factor) {
    if (__any_sync(kFullMask, factor != 1.0F) == 0) {
      return;
    }
    float factors[kLossWarpRows];
#pragma unroll
    for (int r = 0; r < kLossWarpRows; ++r) {
      factors[r] = __shfl_sync(kFullMask, factor, r);
    }
    full_values.scale(factors);
#pragma unroll
    for (int s = 0; s < kSelections; ++s) {
      kept_values[s].scale(factors);
    }
  }
};

/// The channel of a lane's i-th sum. Where d is no multiple of 32, spare lanes repeat the last
/// channel and store nothing.
template <int kHeadDim>
__device__ inline int lane_channel(int i) {
  const int channel = static_cast<int>(threadIdx.x) % kWarpSize + i * kWarpSize;
  return kHeadDim % kWarpSize == 0 ? channel : min(channel, kHeadDim - 1);
}

/// Adds the tile's weighted values to all keys' sums and to those of the selections that keep them.
template <class T, int kHeadDim>
__device__ inline void add_values(const EvictionLossShared<T, kHeadDim>& shared,
                                  const unsigned (&bits)[kLossSelections<kHeadDim>],
                                  LossSums<kHeadDim>& sums) {
  constexpr int kChannels = kLossLaneChannels<kHeadDim>;
  const float* weights = shared.weights[static_cast<int>(threadIdx.x) / kWarpSize];
#pragma unroll 1
  for (int key = 0; key < kLossTile; ++key) {
    float weight[kLossWarpRows];
    load4(weights + key * kLossWarpRows, weight);
    float value[kChannels];
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      value[i] = to_float(shared.values[key * kHeadDim + lane_channel<kHeadDim>(i)]);
    }
    sums.full_values.add(weight, value);
#pragma unroll
    for (int s = 0; s < kLossSelections<kHeadDim>; ++s) {
      if ((bits[s] >> key & 1U) != 0) {
        sums.kept_values[s].add(weight, value);
      }
    }
  }
}

/// Stores one row's output and differences. `full` and `kept` are the row's masses.
template <int kHeadDim, class T>
__device__ inline void store_values(const EvictionLossTask<T>& task, int head, int row, int r,
                                    int first_selection, const LossSums<kHeadDim>& sums) {
  const float full = __shfl_sync(kFullMask, sums.full.mass, r);
  float kept[kLossSelections<kHeadDim>];
#pragma unroll
  for (int s = 0; s < kLossSelections<kHeadDim>; ++s) {
    kept[s] = __shfl_sync(kFullMask, sums.kept[s].mass, r);
  }
  if (row >= task.query_count) {
    return;
  }
  const int heads = static_cast<int>(gridDim.y);
#pragma unroll
  for (int i = 0; i < kLossLaneChannels<kHeadDim>; ++i) {
    const int channel = static_cast<int>(threadIdx.x) % kWarpSize + i * kWarpSize;
    if (channel >= kHeadDim) {
      return;
    }
    const std::int64_t offset =
        (static_cast<std::int64_t>(head) * task.query_count + row) * kHeadDim + channel;
    const float output = sums.full_values.rows[r][i] / (full > 0.0F ? full : 1.0F);
    if (first_selection == 0) {
      task.output[offset] = output;
    }
#pragma unroll
    for (int s = 0; s < kLossSelections<kHeadDim>; ++s) {
      if (first_selection + s < task.selections) {
        // Not times 1 / mass, which overflows for the smallest masses.
        const float kept_output =
            sums.kept_values[s].rows[r][i] / (kept[s] > 0.0F ? kept[s] : 1.0F);
        task.difference[static_cast<std::int64_t>(first_selection + s) * heads * task.query_count *
                            kHeadDim +
                        offset] = output - kept_output;
      }
    }
  }
}

/// Stores what a row has one number of; called by one lane a row.
template <int kHeadDim, class T>
__device__ inline void store_row(const EvictionLossTask<T>& task, int head, int row,
                                 int first_selection, const LossSums<kHeadDim>& sums) {
  const std::int64_t heads = gridDim.y;
  const std::int64_t offset = static_cast<std::int64_t>(head) * task.query_count + row;
  const float full = sums.full.mass > 0.0F ? sums.full.mass : 1.0F;
  if (first_selection == 0 && task.norms != nullptr) {
    task.total_norm[offset] = sums.full.norm / full;
  }
#pragma unroll
  for (int s = 0; s < kLossSelections<kHeadDim>; ++s) {
    if (first_selection + s < task.selections) {
      const std::int64_t slot = (first_selection + s) * heads * task.query_count + offset;
      task.retained_mass[slot] = sums.kept[s].mass / full;
      if (task.norms != nullptr) {
        task.kept_norm[slot] = sums.kept[s].norm / full;
      }
    }
  }
}

/// grid (row blocks, Hq, passes of kLossSelections), block kLossThreads.
template <class T, int kHeadDim>
__global__ void __launch_bounds__(kLossThreads, kLossBlocks<kHeadDim>)
    eviction_loss_kernel(const EvictionLossTask<T> task) {
  constexpr int kSelections = kLossSelections<kHeadDim>;
  constexpr int kKeyStride = EvictionLossShared<T, kHeadDim>::kKeyStride;
  EvictionLossShared<T, kHeadDim>& shared = *dynamic_shared<EvictionLossShared<T, kHeadDim>>();
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int head = static_cast<int>(blockIdx.y);
  const int kv_head = head / task.group;
  const int first_row = static_cast<int>(blockIdx.x) * kLossRows;
  const int first_selection = static_cast<int>(blockIdx.z) * kSelections;
  const int unit = task.units == static_cast<int>(gridDim.y) ? head : kv_head;
  const int words = (task.tokens + kLossTile - 1) / kLossTile;

  const std::int64_t kv_offset = static_cast<std::int64_t>(kv_head) * task.tokens * kHeadDim;
  const T* keys = task.keys + kv_offset;
  const T* values = task.values + kv_offset;
  const float* norms =
      task.norms == nullptr ? nullptr : task.norms + static_cast<std::int64_t>(head) * task.tokens;
  const SeenTokens block_seen = unite<kWarpSize - 1>(seen_tokens(task, first_row + lane));
  const int row = first_row + warp * kLossWarpRows + lane % kLossWarpRows;
  const SeenTokens row_seen = seen_tokens(task, row);
  const SeenTokens warp_seen = unite<kLossWarpRows - 1>(row_seen);
  LossSums<kHeadDim> sums;

  int first = block_seen.begin / kLossTile * kLossTile;
  if (first < block_seen.end) {
    load_queries<kHeadDim>(
        task.queries + static_cast<std::int64_t>(head) * task.query_count * kHeadDim, first_row,
        task.query_count, shared.queries);
    load_tile<T, kHeadDim, kKeyStride>(keys, first, task.tokens, shared.keys);
    load_norms(norms, first, task.tokens, shared.norms);
    __pipeline_commit();
  }
  for (; first < block_seen.end; first += kLossTile) {
    const bool sees = first < warp_seen.end && first + kLossTile > warp_seen.begin;
    unsigned bits[kSelections];
#pragma unroll
    for (int s = 0; s < kSelections; ++s) {
      bits[s] =
          first_selection + s < task.selections
              ? __ldg(task.kept +
                      (static_cast<std::int64_t>(first_selection + s) * task.units + unit) * words +
                      first / kLossTile)
              : 0U;
    }
    // The keys are there, and nobody reads the last values any more.
    __pipeline_wait_prior(0);
    __syncthreads();
    load_tile<T, kHeadDim, kHeadDim>(values, first, task.tokens, shared.values);
    __pipeline_commit();
    if (sees) {
      float weights[kLossLaneKeys];
      multiply_keys(shared, weights);
      const float factor = soften(task, row_seen, first, sums.maximum, weights);
      float lane_norms[kLossLaneKeys] = {};
#pragma unroll
      for (int i = 0; i < kLossLaneKeys; ++i) {
        // [key][row]: lane + 32 i is key lane / 4 + 8 i, row lane % 4.
        shared.weights[warp][lane + i * kWarpSize] = weights[i];
        if (norms != nullptr) {
          lane_norms[i] = shared.norms[lane / 4 + i * kLossKeyGroups];
        }
      }
      sums.full.add(factor, weights, lane_norms, ~0U);
#pragma unroll
      for (int s = 0; s < kSelections; ++s) {
        sums.kept[s].add(factor, weights, lane_norms, bits[s] >> (lane / 4));
      }
      sums.rescale_values(factor);
    }
    // The values are there, and nobody reads the keys any more.
    __pipeline_wait_prior(0);
    __syncthreads();
    if (first + kLossTile < block_seen.end) {
      load_tile<T, kHeadDim, kKeyStride>(keys, first + kLossTile, task.tokens, shared.keys);
      load_norms(norms, first + kLossTile, task.tokens, shared.norms);
      __pipeline_commit();
    }
    if (sees) {
      add_values(shared, bits, sums);
    }
  }

  sums.full.reduce();
#pragma unroll
  for (int s = 0; s < kSelections; ++s) {
    sums.kept[s].reduce();
  }
#pragma unroll
  for (int r = 0; r < kLossWarpRows; ++r) {
    store_values<kHeadDim>(task, head, first_row + warp * kLossWarpRows + r, r, first_selection,
                           sums);
  }
  if (lane < kLossWarpRows && row < task.query_count) {
    store_row<kHeadDim>(task, head, row, first_selection, sums);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
