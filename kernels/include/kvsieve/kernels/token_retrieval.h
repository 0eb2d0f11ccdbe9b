#pragma once
// The whole retrieval of a decode step over one layer: tables, each query head's top K, the union
// over the group, and lists that sparse_decode takes.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/code_buckets.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels {

/// One step. Segments are KV heads of sequences, S = B Hkv, segment = sequence * Hkv + KV head.
struct TokenRetrievalArgs {
  const float* queries = nullptr;        ///< [S, G, d] rotated by the constant distance
  std::span<const HeadKeys> codewords;   ///< [Hkv] C codewords each, packed as keys are
  traces::AttentionSpec attention;       ///< scale and softcap of the table
  std::int64_t segments = 0;             ///< S, a multiple of Hkv
  std::int64_t group = 1;                ///< G >= 1
  const std::uint16_t* codes = nullptr;  ///< [S, codes_stride] by token, each < C
  std::int64_t codes_stride = 0;         ///< >= range.end
  /// [S] as build_buckets makes them, each fitting the range as select_top_buckets asks; or none,
  /// to look up the score of every token.
  std::span<const CodeBuckets> buckets;
  TokenRange range;    ///< eligible tokens
  std::int64_t k = 0;  ///< K a query head; more than the range takes all
  /// [S, G] K of each query head instead of `k`; null if all have the same.
  const std::int32_t* head_k = nullptr;
  /// Sinks [0, range.begin) before and the window [range.end, tokens) behind the retrieved tokens.
  bool with_resident = false;
  std::int64_t tokens = 0;  ///< i + 1, read if with_resident

  std::int32_t* lists = nullptr;   ///< [S, capacity] out: the union over the group, ascending
  std::int64_t capacity = 0;       ///< a longer list is cut
  std::int32_t* counts = nullptr;  ///< [S] out: tokens of the list, or of the one that was cut
  /// [S, G] out: tokens whose score equals the K-th, 0 if K is 0; null if not wanted.
  std::int32_t* boundary_ties = nullptr;
  /// [S, G] out: each query head's own selection, ascending; empty if not wanted.
  std::span<std::vector<std::int32_t>> members;
};

/// What score_table, select_top(lookup_scores(...)) or select_top_buckets, and unite make of every
/// segment, the same tokens with and without buckets. Parallel over codewords, query heads and
/// segments; the result does not depend on the number of threads. Keeps its memory from call to
/// call. Throws Error(kUsage) for S that is no multiple of Hkv or codebooks of unequal size,
/// Error(kInternal) for a range that does not fit the buckets.
void retrieve_tokens(const TokenRetrievalArgs& args);

/// Work of retrieve_tokens over S segments with `listed` tokens in all their lists. `tail` codes
/// are read one by one: those behind the buckets, or all of the range without buckets.
[[nodiscard]] constexpr Work token_retrieval_work(std::int64_t segments, std::int64_t kv_heads,
                                                  std::int64_t group, std::int64_t codewords,
                                                  std::int64_t d, std::int64_t k, std::int64_t tail,
                                                  std::int64_t listed) {
  const std::int64_t rows = segments * group;
  return {kv_heads * codewords * d * 4 + rows * (d + k) * 4 + segments * tail * 2, listed * 4,
          2 * rows * codewords * d};
}

}  // namespace kvsieve::kernels
