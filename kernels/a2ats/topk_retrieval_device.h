#pragma once
// The kernels of topk_retrieval.h: each query head's top K into a bit mask of its group, and the
// masks into lists.

#include <cstddef>
#include <cstdint>

#include "adakv/radix_select_shape.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Where selections go. All pointers are device memory; segments as in score_lookup_device.h.
struct RetrievedMask {
  std::uint32_t* words = nullptr;  ///< [S, stride], out: the union over the group, all else zero
  std::int64_t stride = 0;         ///< >= mask_words(range.end)
  /// [S, G] out: tokens whose score equals the K-th, 0 if K is 0; null if not wanted.
  std::int32_t* boundary_ties = nullptr;
  /// [S, G, stride] out: each query head's own selection; null if not wanted.
  std::uint32_t* member_words = nullptr;
};

struct TopKRetrievalArgs {
  const float* scores = nullptr;  ///< [S, G, stride] by token; NaN ranks below every number
  std::int64_t stride = 0;
  std::int64_t segments = 0;
  std::int64_t group = 1;
  TokenRange range;    ///< eligible tokens
  std::int64_t k = 0;  ///< K a query head; more than the range takes all
  /// [S, G] K of each query head instead of `k`, read on the device; null if all have the same.
  const std::int32_t* head_k = nullptr;
  RetrievedMask mask;
  void* workspace = nullptr;  ///< topk_retrieval_workspace_bytes(), aligned to 16 bytes
  /// Tokens that a block reads, a positive multiple of 4. Ranges of one chunk take one launch.
  std::int64_t chunk_tokens = kSelectChunkTokens;
};

[[nodiscard]] std::size_t topk_retrieval_workspace_bytes(const TopKRetrievalArgs& args);
/// A block for each chunk of each query head.
[[nodiscard]] LaunchConfig topk_retrieval_config(const TopKRetrievalArgs& args);
/// select_top for every query head and the union over each group, exactly. Deterministic.
/// Throws Error(kUsage) for shapes outside the limits.
void topk_retrieval(const TopKRetrievalArgs& args, Stream& stream);

/// Lists of tokens, one a segment, in fixed slots: segment s has tokens[s * capacity + i] for
/// i < counts[s], ascending.
struct TokenLists {
  std::int32_t* tokens = nullptr;  ///< [S, capacity]
  std::int32_t* counts = nullptr;  ///< [S]
  std::int64_t capacity = 0;
};

struct ListTokensArgs {
  const std::uint32_t* words = nullptr;  ///< [S, stride] retrieved tokens, all within the range
  std::int64_t stride = 0;
  std::int64_t segments = 0;
  TokenRange range;
  /// Sinks [0, range.begin) before and the window [range.end, tokens) behind the retrieved tokens.
  bool with_resident = false;
  std::int64_t tokens = 0;  ///< i + 1, read if with_resident
  /// Device memory, or pinned host memory, which is then written over the bus: 4 bytes a token and
  /// 4 a count, nothing else.
  TokenLists lists;
  bool lists_on_host = false;  ///< `lists` is pinned host memory
};
[[nodiscard]] LaunchConfig list_tokens_config(const ListTokensArgs& args);
/// Masks to ascending lists. A list longer than `capacity` is cut; its count is the full number.
void list_tokens(const ListTokensArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
