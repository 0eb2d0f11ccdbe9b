#pragma once
// What the device kernels are compiled for.

#include <array>
#include <cstdint>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Head dimensions d with compiled kernels.
inline constexpr std::array<std::int64_t, 5> kDeviceHeadDims{64, 80, 96, 128, 256};
/// The largest group G of query heads that may share a KV head.
inline constexpr std::int64_t kDeviceMaxGroup = 8;
/// Element types of K, V and queries.
inline constexpr std::array<traces::DType, 3> kDeviceDTypes{
    traces::DType::kF16, traces::DType::kBF16, traces::DType::kF32};

}  // namespace kvsieve::kernels
