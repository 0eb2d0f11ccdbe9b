#pragma once
// The engine that runs Ada-KV's operations as device kernels.

#include <memory>

#include "exec/device/runtime.h"
#include "kvsieve/kernels/eviction_engine.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// `name` is the backend's. Throws Error(kMissingCapability) if there is no device.
[[nodiscard]] std::unique_ptr<EvictionEngine> make_device_eviction_engine(std::string_view name);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
