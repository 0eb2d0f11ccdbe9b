#pragma once
// The kernels of score_lookup.h: a table a query head, and the gather by code.

#include <cstdint>
#include <optional>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Work of score_table over S segments of Hkv codebooks; codewords of `element_bytes` a number.
[[nodiscard]] constexpr Work score_table_work(std::int64_t segments, std::int64_t kv_heads,
                                              std::int64_t group, std::int64_t codewords,
                                              std::int64_t d, std::int64_t element_bytes) {
  const std::int64_t rows = segments * group;
  return {rows * d * 4 + kv_heads * codewords * d * element_bytes, rows * codewords * 4,
          2 * rows * codewords * d};
}

/// Work of lookup_scores over n tokens of each of S segments.
[[nodiscard]] constexpr Work lookup_scores_work(std::int64_t segments, std::int64_t group,
                                                std::int64_t codewords, std::int64_t tokens) {
  return {segments * (group * codewords * 4 + tokens * 2), segments * group * tokens * 4, 0};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Segments are KV heads of sequences, S = B Hkv, segment = sequence * Hkv + KV head. All pointers
/// are device memory.
struct ScoreTableArgs {
  const float* queries = nullptr;   ///< [S, G, d] rotated by the constant distance
  const void* codewords = nullptr;  ///< [Hkv, C, d] in the space of keys, shared by all sequences
  traces::DType dtype = traces::DType::kF32;  ///< of the codewords
  std::int64_t segments = 0;                  ///< S, a multiple of Hkv
  std::int64_t kv_heads = 0;                  ///< Hkv
  std::int64_t group = 1;                     ///< G, 1 to 8
  std::int64_t codeword_count = 0;            ///< C, 1 to 65536
  std::int64_t head_dim = 0;                  ///< d
  float scale = 1.0F;
  std::optional<float> softcap;
  float* table = nullptr;  ///< [S, G, C]
};

[[nodiscard]] LaunchConfig score_table_config(const ScoreTableArgs& args);
/// table[s, g, m] = softcap(scale * q~ . c_m). Codewords are read once for all sequences of a
/// launch's tile. Throws Error(kUsage) for a d, G, dtype or C without a kernel.
void score_table(const ScoreTableArgs& args, Stream& stream);

/// All pointers are device memory.
struct LookupScoresArgs {
  const float* table = nullptr;          ///< [S, G, C]
  const std::uint16_t* codes = nullptr;  ///< [S, codes_stride] by token, each < C
  std::int64_t codes_stride = 0;
  std::int64_t segments = 0;
  std::int64_t group = 1;
  std::int64_t codeword_count = 0;
  TokenRange range;         ///< the tokens to score
  float* scores = nullptr;  ///< [S, G, stride] by token; only the range is written
  std::int64_t stride = 0;  ///< >= range.end
};

[[nodiscard]] LaunchConfig lookup_scores_config(const LookupScoresArgs& args);
/// scores[s, g, j] = table[s, g, codes[s, j]] for j in the range, all members of a group in one
/// pass over the codes. Tables beyond 163 KiB, what a block of sm_80 can have, are read through the
/// caches.
/// Throws Error(kUsage) for a G or C without a kernel.
void lookup_scores(const LookupScoresArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
