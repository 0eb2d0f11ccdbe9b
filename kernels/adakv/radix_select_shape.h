#pragma once
// The shape of the device radix select: what its kernels, launches and workspaces agree on.

#include <cstdint>

#include "exec/device/launch_config.h"

namespace kvsieve::kernels {

/// Threads of the blocks that read scores.
inline constexpr int kSelectThreads = 256;
/// Keys are refined by digits of 11, 11 and 10 bits, the most significant first.
inline constexpr int kSelectPasses = 3;
inline constexpr int kSelectDigitBits[kSelectPasses] = {11, 11, 10};
/// Bins of the widest digit, and of a row's histograms one after the other.
inline constexpr int kSelectMaxBins = 2048;
inline constexpr std::int64_t kSelectRowBins = 2048 + 2048 + 1024;

/// Tokens of a row that one block handles: large enough to outweigh its 8 KiB histogram, small
/// enough that 8 rows of 131,072 tokens fill a GPU.
inline constexpr std::int64_t kSelectChunkTokens = 8192;
/// A 16-byte vector holds four scores or keys; chunks begin at whole vectors.
inline constexpr std::int64_t kSelectVectorTokens = 4;
/// Token positions are 32-bit integers, with room for one chunk behind the last.
inline constexpr std::int64_t kSelectMaxTokens = (std::int64_t{1} << 31) - (1 << 20);

/// Blocks a row of m tokens is spread over; a row may begin up to three tokens into a vector.
[[nodiscard]] constexpr unsigned select_chunks(std::int64_t m, std::int64_t chunk_tokens) {
  return blocks_for(m + kSelectVectorTokens - 1, chunk_tokens);
}

/// Whether a block can read that many tokens of a row.
[[nodiscard]] constexpr bool is_select_chunk(std::int64_t chunk_tokens) {
  return chunk_tokens > 0 && chunk_tokens <= kSelectMaxTokens &&
         chunk_tokens % kSelectVectorTokens == 0;
}

/// Whether all chunks of all rows fit a grid.
[[nodiscard]] constexpr bool is_select_grid(std::int64_t rows, std::int64_t m,
                                            std::int64_t chunk_tokens) {
  constexpr std::int64_t kMaxBlocks = (std::int64_t{1} << 31) - 1;
  return rows <= kMaxBlocks / select_chunks(m, chunk_tokens);
}

}  // namespace kvsieve::kernels
