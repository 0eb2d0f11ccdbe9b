#pragma once
// Importance of the prompt's tokens as seen by observed queries: SnapKV's window attention, and H2O
// and TOVA with other queries (Ada-KV algorithm 2, steps 1 to 5).

#include <cstdint>
#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels {

/// How the query heads that share a KV head become one row of scores.
enum class GroupReduce { kMean, kMax };

/// One-dimensional pooling of scores over neighbouring tokens, stride 1, same length.
struct Pooling {
  enum class Kind { kNone, kMax, kAverage };
  Kind kind = Kind::kMax;
  std::int64_t kernel = 7;  ///< odd

  bool operator==(const Pooling&) const = default;
};

/// means[g, j] = mean of softmax(scale q.k)[j] over the queries of group member g that see token j
/// (0 where none does). Softmax is over all keys that a query sees, in fp32, causal.
/// Two passes over tiles of keys, the first for each row's maximum and sum. Parallel over tiles;
/// bits do not depend on the thread count.
/// @param queries [G * R, d] fp32, rotated; the R rows of member g are consecutive
/// @param positions [R] ascending positions of the queries, shared by all members
/// @param keys at least n rotated keys
/// @param means [G, n]
void attention_column_means(MatrixView<const float> queries,
                            std::span<const std::int32_t> positions, const HeadKeys& keys,
                            const traces::AttentionSpec& attention, MatrixView<float> means);

/// A layer's cache after prefill and the queries that observe it.
struct WindowScoresProblem {
  const void* queries = nullptr;  ///< [Hq, w, d] rotated, of the last w tokens; member g of KV head
                                  ///< i is query head i * G + g
  const void* keys = nullptr;     ///< [Hkv, n, d] or, by the strides, [n, Hkv, d]; rotated
  traces::DType dtype = traces::DType::kF16;  ///< of queries and keys: F16, BF16 or F32
  std::int64_t q_heads = 0;                   ///< Hq, a multiple of Hkv
  std::int64_t kv_heads = 0;                  ///< Hkv
  std::int64_t head_dim = 0;                  ///< d
  std::int64_t tokens = 0;                    ///< n
  std::int64_t window = 0;                    ///< w, 1 to n
  std::int64_t head_stride = 0;   ///< elements of `keys` from a head's token j to the next head's
  std::int64_t token_stride = 0;  ///< elements of `keys` from a token to the next one of its head
  traces::AttentionSpec attention;
  GroupReduce group_reduce = GroupReduce::kMean;
  Pooling pooling;
};

/// Importance of the tokens before the window (Ada-KV algorithm 2, steps 1 to 5): softmax of the
/// window's queries over all n keys, causal, then the mean over queries, the group's reduction, and
/// pooling over the tokens before the window.
/// Products of fp32 and F16 are exact to fp32's rounding; of BF16 too, except that subnormal
/// numbers count as zero where the processor multiplies bfloat16 itself. Relative error below 2e-5.
/// Parallel over tiles of keys; bits do not depend on the thread count.
/// @param scores [Hkv, n - w]
/// Throws Error(kUsage) if the shapes do not fit or the dtype is I32.
void window_scores(const WindowScoresProblem& problem, MatrixView<float> scores);

/// reduced[j] = mean or maximum over the rows of scores [G, n]; reduced [n]. The mean is the sum in
/// the rows' order times the rounded 1 / G.
void reduce_group(MatrixView<const float> scores, GroupReduce reduce, std::span<float> reduced);

/// Pools scores [n] into pooled [n] (not in place). Maximum pooling ignores positions outside
/// [0, n); average pooling counts them as zeros and always divides by the kernel, as PyTorch does.
void pool_scores(std::span<const float> scores, const Pooling& pooling, std::span<float> pooled);

/// scores[j] = -||k_j||_2 before RoPE: keys of low norm draw attention (KeyNorm). scores [rows].
void key_norm_scores(const HeadSlice& keys, std::span<float> scores);

/// Work of one KV head: two passes of R queries of G members over n keys, and the group's score of
/// each of the `scored` tokens.
[[nodiscard]] constexpr Work window_scores_work(std::int64_t members, std::int64_t queries,
                                                std::int64_t n, std::int64_t scored, std::int64_t d,
                                                std::int64_t element_bytes) {
  return {(members * queries + 2 * n) * d * element_bytes, scored * 4,
          2 * 2 * members * queries * n * d};
}

}  // namespace kvsieve::kernels
