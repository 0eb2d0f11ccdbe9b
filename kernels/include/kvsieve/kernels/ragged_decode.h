#pragma once
// Attention of one new query per sequence over the ragged cache: what a decode step reads.
//
// Heads keep very different numbers of tokens, so work is not cut by head. The tokens of all
// segments are laid end to end and cut into shares of equal size; a share that crosses segments
// leaves one part in each. The parts of a segment merge by their log-sum-exp in token order.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kvsieve/kernels/ragged_cache.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// One decode step. Pointers are to host memory for the cpu backend and to device memory for the
/// others.
struct RaggedDecodeArgs {
  RaggedCacheView cache;                            ///< S segments, each 0 tokens or more
  const void* queries = nullptr;                    ///< [S, G, d], rotated as the keys are
  traces::DType query_dtype = traces::DType::kF32;  ///< F32 or the cache's
  std::int64_t group = 1;                           ///< G query heads that read a segment, 1 to 8
  float scale = 1.0F;                               ///< of q . k, usually 1 / sqrt(d)
  std::optional<float> softcap;                     ///< c > 0: scores become c tanh(score / c)
  float* out = nullptr;                             ///< [S, G, d]; zeros where a segment is empty
  float* log_sums = nullptr;  ///< [S, G] ln sum exp(score), -inf if empty; null if not wanted
  std::int64_t shares = 0;    ///< equal pieces of work; 0 lets the backend choose
};

/// The part of a segment that lies in one share.
struct DecodePart {
  std::int32_t segment;
  std::int32_t begin;  ///< first token
  std::int32_t end;    ///< one past the last token
  std::int32_t slot;   ///< where its partial result goes: share + segment, so none is used twice

  bool operator==(const DecodePart&) const = default;
};

/// Tokens of a share when `total` tokens are cut into `shares`; the last may have fewer.
[[nodiscard]] constexpr std::int64_t decode_share_tokens(std::int64_t total, std::int64_t shares) {
  return total > shares ? (total + shares - 1) / shares : 1;
}

/// Walks the parts of one share in token order, on the host and in kernels.
class DecodePartCursor {
 public:
  /// @param starts [S + 1] tokens of all segments before each segment, then of all
  constexpr DecodePartCursor(const std::int64_t* starts, std::int64_t segments,
                             std::int64_t share_tokens, std::int64_t share)
      : m_starts(starts), m_share(share), m_at(share * share_tokens) {
    const std::int64_t total = starts[segments];
    m_last = m_at + share_tokens < total ? m_at + share_tokens : total;
    // The last segment that starts at or before the share's first token.
    std::int64_t above = segments;
    while (m_segment + 1 < above) {
      const std::int64_t middle = (m_segment + above) / 2;
      (starts[middle] <= m_at ? m_segment : above) = middle;
    }
  }

  /// The next part, or false if there is none.
  constexpr bool next(DecodePart& part) {
    if (m_at >= m_last) {
      return false;
    }
    while (m_starts[m_segment + 1] <= m_at) {
      ++m_segment;
    }
    const std::int64_t start = m_starts[m_segment];
    const std::int64_t after = m_starts[m_segment + 1];
    const std::int64_t end = after < m_last ? after : m_last;
    part = {static_cast<std::int32_t>(m_segment), static_cast<std::int32_t>(m_at - start),
            static_cast<std::int32_t>(end - start), static_cast<std::int32_t>(m_share + m_segment)};
    m_at = end;
    return true;
  }

 private:
  const std::int64_t* m_starts;
  std::int64_t m_share;
  std::int64_t m_at;
  std::int64_t m_last = 0;
  std::int64_t m_segment = 0;
};

/// All parts of all shares, in order.
/// @param lengths [S] tokens of each segment
[[nodiscard]] std::vector<DecodePart> decode_parts(std::span<const std::int32_t> lengths,
                                                   std::int64_t shares);

/// The decode step on the CPU, fp32 sums. The result does not depend on the number of threads, nor
/// on whether the cache is paged.
/// Throws Error(kUsage) for a group or dtype that is not supported.
void ragged_decode(const RaggedDecodeArgs& args);

/// Work of ragged_decode over `tokens` tokens of all segments together. An exponential counts one.
[[nodiscard]] constexpr Work ragged_decode_work(std::int64_t tokens, std::int64_t segments,
                                                std::int64_t group, std::int64_t d,
                                                std::int64_t element_bytes,
                                                std::int64_t query_bytes) {
  return {2 * tokens * d * element_bytes + segments * group * d * query_bytes,
          segments * group * (d + 1) * 4, tokens * group * (4 * d + 1)};
}

}  // namespace kvsieve::kernels
