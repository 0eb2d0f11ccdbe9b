#pragma once
// Window scores on the device: what window_scores.h computes a KV head at a time, for all heads of
// a layer and of several sequences in three launches.

#include <cstddef>
#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// The widest pooling that the kernel computes beside its tile of keys.
inline constexpr std::int64_t kMaxPoolingKernel = 31;

/// What gets a row of scores.
enum class ScoreUnit {
  kKvHead,     ///< the group's members reduced, then pooled
  kQueryHead,  ///< each member pooled
};

/// Pointers to device memory; B sequences of the same length and positions. Scores have the units
/// [B * Hkv] or [B * Hkv * G] (ScoreUnit).
struct WindowScoresArgs {
  const void* queries = nullptr;            ///< [B, Hkv * G, R, d], rotated, 16-byte aligned
  const std::int32_t* positions = nullptr;  ///< [R] ascending, not negative
  const void* keys = nullptr;  ///< rotated, 16-byte aligned; key j of head h of sequence s begins
                               ///< s * sequence_stride + h * head_stride + j * token_stride
                               ///< elements in; strides are multiples of 16 bytes
  std::int64_t sequence_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t token_stride = 0;
  traces::DType dtype = traces::DType::kF16;  ///< of queries and keys

  std::int64_t sequences = 1;      ///< B
  std::int64_t kv_heads = 1;       ///< Hkv
  std::int64_t group = 1;          ///< G
  std::int64_t queries_count = 1;  ///< R, of each query head
  std::int64_t head_dim = 0;       ///< d
  std::int64_t tokens = 0;         ///< n, keys that the softmax sees
  std::int64_t scored_tokens = 0;  ///< m <= n, the first tokens: those that get scores
  traces::AttentionSpec attention;

  ScoreUnit unit = ScoreUnit::kKvHead;
  GroupReduce reduce = GroupReduce::kMean;
  Pooling pooling;  ///< over [0, m), as pool_scores; kernel at most kMaxPoolingKernel

  float* scores = nullptr;    ///< [units, m]
  void* workspace = nullptr;  ///< window_scores_workspace_bytes, 256-byte aligned
};

/// Keys that a block handles.
[[nodiscard]] std::int64_t window_scores_tile_keys(traces::DType dtype, std::int64_t head_dim);

/// Columns of scores that a block writes: its keys less those that only pooling reads.
[[nodiscard]] std::int64_t window_scores_tile_columns(const WindowScoresArgs& args);

/// A maximum and a sum for each row and tile of keys, and for each row.
[[nodiscard]] std::size_t window_scores_workspace_bytes(const WindowScoresArgs& args);

/// The launches in their order: statistics of rows by tile, of whole rows, and scores.
[[nodiscard]] LaunchConfig window_statistics_config(const WindowScoresArgs& args);
[[nodiscard]] LaunchConfig window_merge_config(const WindowScoresArgs& args);
[[nodiscard]] LaunchConfig window_columns_config(const WindowScoresArgs& args);

/// scores[u, j] for the first m tokens: attention_column_means over the n keys, reduce_group unless
/// ScoreUnit::kQueryHead, pool_scores. Dot products, softmax and means in fp32 for every dtype.
/// Bits do not depend on the schedule, nor a token's mean on the tile that it falls into.
/// With kQueryHead and Pooling::kNone the scores are the column means themselves.
/// Throws Error(kUsage) for what has no kernel (d, G, dtype, pooling), Error(kInternal) for
/// arguments that break the contract above.
void window_scores(const WindowScoresArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
