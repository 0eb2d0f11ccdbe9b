#pragma once
// The kernels of cache_compaction.h: the same operations on device memory. No workspace is needed.

#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/cache_compaction.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

// K and V start at multiples of 16 bytes, and so do all rows: strides are multiples of 16 bytes.
//
// Lengths and offsets are in device memory, so a segment without room is found by the kernels,
// which leave that segment as it is and raise `failed_segment` [1] to 1 + its number unless it is
// higher already. The caller sets it to 0 beforehand and hands what is in it afterwards to
// require_no_failed_segment.

struct CompactCacheArgs {
  DenseCacheView dense;
  KeptTokensView kept;  ///< `rows` may exceed offsets[S]: then some blocks find nothing to do
  RaggedCacheView cache;
  std::int32_t* failed_segment = nullptr;
};

struct AppendTokensArgs {
  NewTokens rows;
  RaggedCacheView cache;
  std::int32_t* failed_segment = nullptr;
};

struct RemoveLastTokensArgs {
  std::int64_t count = 0;
  RaggedCacheView cache;
  std::int32_t* failed_segment = nullptr;
};

struct RegrowCacheArgs {
  RaggedCacheView from;
  std::int64_t from_rows = 0;  ///< RaggedLayout::rows of `from`; not read if it is paged
  RaggedCacheView to;
  std::int32_t* failed_segment = nullptr;
};

/// One block a tile of rows, as many tiles as `rows` need; and threads for all segments' lengths.
/// @param row_bytes bytes of a row of K
[[nodiscard]] LaunchConfig copy_rows_config(std::int64_t rows, std::int64_t segments,
                                            std::int64_t row_bytes);
/// As many tiles for each segment as its t new rows need.
[[nodiscard]] LaunchConfig append_tokens_config(std::int64_t segments, std::int64_t t,
                                                std::int64_t row_bytes);
/// A thread a segment.
[[nodiscard]] LaunchConfig change_lengths_config(std::int64_t segments);

/// Each throws Error(kUsage) for differing shapes, d or dtype without a kernel, K, V or strides
/// that are not multiples of 16 bytes, or a negative count.
void compact_cache(const CompactCacheArgs& args, Stream& stream);
void append_tokens(const AppendTokensArgs& args, Stream& stream);
void remove_last_tokens(const RemoveLastTokensArgs& args, Stream& stream);
void regrow_cache(const RegrowCacheArgs& args, Stream& stream);

/// Throws Error(kUsage) naming operation and segment unless failed_segment is 0.
void require_no_failed_segment(const char* operation, std::int32_t failed_segment);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
