#pragma once
// How the kernels cut their work: the constants of their headers, which are in CUDA's language and
// which therefore only this header's source includes.

#include <cstdint>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::bench {

// attention/decode_shares.cuh
struct DecodeTile {
  std::int64_t teams = 0;  ///< of a block
  std::int64_t batch = 0;  ///< tokens that a team asks for at once
};
[[nodiscard]] DecodeTile decode_tile(traces::DType dtype, std::int64_t head_dim,
                                     std::int64_t group);

// attention/projection_tile.cuh
extern const std::int64_t kProjectionRows;
extern const std::int64_t kProjectionColumns;
extern const std::int64_t kProjectionDepth;         ///< channels of a slice
extern const std::int64_t kProjectionLaneChannels;  ///< that a lane reads of a row

// adakv/cache_compaction.cuh
[[nodiscard]] std::int64_t copied_rows(std::int64_t row_bytes);

// adakv/window_scores.cuh
extern const std::int64_t kStageQueries;  ///< rows that are multiplied at once
extern const std::int64_t kFragmentKeys;  ///< keys that a warp asks for at once
[[nodiscard]] bool keeps_keys_in_registers(traces::DType dtype);

// adakv/eviction_loss.cuh
extern const std::int64_t kLossQueries;  ///< of a block
extern const std::int64_t kLossTokens;   ///< of a tile

// a2ats/nearest_codeword.cuh
struct SearchTile {
  std::int64_t rows = 0;          ///< of a block
  std::int64_t warps = 0;         ///< of a block
  std::int64_t rows_of_warp = 0;  ///< that a warp compares, as many again further on
};
[[nodiscard]] SearchTile search_tile(std::int64_t head_dim);

// a2ats/kmeans.cuh
extern const std::int64_t kWorstPoints;  ///< of which the worst is noted

// a2ats/point_distance.cuh
extern const std::int64_t kDistanceLanes;  ///< that share a point

// a2ats/query_moment.cuh
extern const std::int64_t kMomentColumns;      ///< of a tile
extern const std::int64_t kMomentPartColumns;  ///< of a part of a tile

// a2ats/score_lookup.cuh
extern const std::int64_t kScoredCodewords;  ///< of a block
extern const std::int64_t kMostScoredRows;   ///< of a block
[[nodiscard]] std::int64_t codeword_slice_vectors(traces::DType dtype);

// a2ats/code_buckets.cuh
extern const std::int64_t kSortedTokens;  ///< of a block
extern const std::int64_t kSortDigits;
extern const std::int64_t kThresholdBytes;  ///< of a query head

}  // namespace kvsieve::bench
