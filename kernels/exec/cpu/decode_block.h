#pragma once
// One block of tokens of decode attention, as the vector loops of each instruction set take it.

#include <cstdint>

namespace kvsieve::kernels {

/// Tokens of a block at most.
inline constexpr std::int64_t kDecodeBlockTokens = 64;
/// Bytes of keys that a block should have: its keys and values, and those that are prefetched, fit
/// into the first-level cache together.
inline constexpr std::int64_t kDecodeBlockBytes = 8 * 1024;
/// Tokens of a block are a multiple of this, so that register tiles are full.
inline constexpr std::int64_t kDecodeBlockStep = 16;

/// Tokens of the blocks that a run of tokens is cut into.
[[nodiscard]] constexpr std::int64_t decode_block_tokens(std::int64_t row_bytes) noexcept {
  const std::int64_t fit = kDecodeBlockBytes / row_bytes / kDecodeBlockStep * kDecodeBlockStep;
  return fit < kDecodeBlockStep     ? kDecodeBlockStep
         : fit > kDecodeBlockTokens ? kDecodeBlockTokens
                                    : fit;
}

/// Members' maxima and sums are kept in so many lanes: lane i belongs to member i modulo G rounded
/// up to a power of two.
inline constexpr std::int64_t kDecodeStateLanes = 16;
/// Query heads that may share a segment.
inline constexpr std::int64_t kDecodeMaxGroup = 8;

enum class RowType { kF16, kBF16, kF32 };

/// Numbers of a row that the loops load at once: two vectors. BF16 pairs are split by shifts, so
/// that arranged query and output rows hold the even numbers of a unit before the odd ones.
[[nodiscard]] constexpr std::int64_t decode_unit(std::int64_t lanes) noexcept {
  return 2 * lanes;
}

/// Rows to prefetch while a pass over a block runs, evenly spread: bursts would fill the core's
/// queue of outstanding lines and stop it.
struct AheadRows {
  const void* const* rows = nullptr;
  const void* const* later = nullptr;  ///< [count] prefetched with them, for a later block
  std::int64_t count = 0;
  std::int64_t bytes = 0;  ///< of each row
};

/// Running softmax attention of G queries over tokens, and the rows that are wanted next.
struct DecodeBlock {
  RowType type;
  std::int64_t group;     ///< G
  std::int64_t head_dim;  ///< d; d * element size is a multiple of 16 bytes
  std::int64_t padded;    ///< d rounded up to a unit

  const void* const* keys;    ///< [count] rows
  const void* const* values;  ///< [count] rows
  std::int64_t count;         ///< 1 .. kDecodeBlockTokens
  AheadRows key_pass_ahead;
  AheadRows value_pass_ahead;

  const float* queries;  ///< [padded / unit, G, unit] arranged, zero-padded, scaled
  float softcap;         ///< 0: none
  float* out;            ///< [G, padded] arranged, sum of exp(score - max) times value
  float* max;  ///< [kDecodeStateLanes], -inf at first: what was taken away from scores, repeated
  float* sum;  ///< [kDecodeStateLanes] sums of exp(score - max), to be added up for each member
};

}  // namespace kvsieve::kernels
