#pragma once
// The cases of device_cases(), one function a group of operations.

#include <vector>

#include "kvsieve/bench/device_case.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {

[[nodiscard]] std::vector<DeviceCase> attention_cases();
[[nodiscard]] std::vector<DeviceCase> cache_cases();
[[nodiscard]] std::vector<DeviceCase> codebook_cases();
[[nodiscard]] std::vector<DeviceCase> eviction_cases();
[[nodiscard]] std::vector<DeviceCase> loss_cases();
[[nodiscard]] std::vector<DeviceCase> retrieval_cases();
[[nodiscard]] std::vector<DeviceCase> transfer_cases();

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
