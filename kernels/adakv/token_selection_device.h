#pragma once
// select_tokens and select_tokens_critical for many heads on a device.

#include <cstddef>
#include <cstdint>

#include "adakv/radix_select_shape.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/token_selection.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Heads ("units") of scores and where their kept tokens go; all pointers are device memory.
/// A prompt has sinks + m + window tokens: protected ones, candidates, protected ones.
struct TokenSelectionArgs {
  const float* scores = nullptr;         ///< [units, m] of the candidates, finite
  const std::int32_t* counts = nullptr;  ///< [units] candidates to keep; > m keeps all, < 0 none
  std::int64_t units = 0;
  std::int64_t m = 0;
  std::int64_t stride = 0;  ///< elements from a unit's scores to the next unit's, >= m
  std::int64_t sinks = 0;   ///< first tokens, always kept
  std::int64_t window = 0;  ///< last tokens, always kept
  /// [units, m] ||v_j W_O||_1 of the candidates: selects in CriticalKV's two stages. Null: by
  /// score.
  const float* norms = nullptr;
  std::int64_t norms_stride = 0;
  /// [units + 1], out: unit u's tokens are kept[offsets[u] .. offsets[u + 1]).
  std::int64_t* offsets = nullptr;
  /// Out: ascending positions in the prompt; room for the kept tokens, at most
  /// units * (sinks + m + window).
  std::int32_t* kept = nullptr;
  void* workspace = nullptr;  ///< token_selection_workspace_bytes(), aligned to 16 bytes
  /// Tokens that a block reads, a positive multiple of 4. Rows of one chunk take one launch.
  std::int64_t chunk_tokens = kSelectChunkTokens;
};

/// Bytes of workspace.
[[nodiscard]] std::size_t token_selection_workspace_bytes(const TokenSelectionArgs& args);

/// A block for each chunk of each unit.
[[nodiscard]] LaunchConfig select_chunks_config(const TokenSelectionArgs& args);

/// Each unit's sinks, the tokens that select_tokens() (with norms: select_tokens_critical())
/// takes for its count, and its window. Order: ascending. Ties: the lower token. Deterministic, bit
/// for bit as on the CPU. The counts are read on the device.
/// Reads the scores five times (three digit passes, one count, one compaction); rows of one chunk
/// are read by one block, four times, from its caches but for the first.
/// Throws Error(kUsage) for shapes outside the limits.
void token_selection(const TokenSelectionArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
