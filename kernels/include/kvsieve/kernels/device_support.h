#pragma once
// What the device kernels are compiled for.

#include <array>
#include <cstdint>
#include <string_view>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Head dimensions d with compiled kernels.
inline constexpr std::array<std::int64_t, 5> kDeviceHeadDims{64, 80, 96, 128, 256};
/// The largest group G of query heads that may share a KV head.
inline constexpr std::int64_t kDeviceMaxGroup = 8;
/// Element types of K, V and queries.
inline constexpr std::array<traces::DType, 3> kDeviceDTypes{
    traces::DType::kF16, traces::DType::kBF16, traces::DType::kF32};

/// An operation with simt and cuda kernels.
struct DeviceOperation {
  std::string_view name;
  bool reads_cache = false;  ///< reads K, V, queries or codewords; the others read fp32 numbers
};

inline constexpr auto kDeviceOperations = std::to_array<DeviceOperation>({
    {"window_scores", true},
    {"budget_allocation", false},
    {"token_selection", false},
    {"cache_compaction", true},
    {"ragged_decode", true},
    {"eviction_loss", true},
    {"value_norms", true},
    {"windowed_rope", false},
    {"key_encoding", true},
    {"codebook_training", true},
    {"score_lookup", true},
    {"topk_retrieval", false},
    {"code_buckets", false},
    {"kv_gather", true},
    {"sparse_decode", true},
});

}  // namespace kvsieve::kernels
