#pragma once
// The host link of this machine's GPU, measured.

#include <functional>

#include "kvsieve/sim/link_measurements.h"

namespace kvsieve::profile {

/// Transfers by size, pieces and path (docs/profiling.md). `progress` gets the share that is
/// finished; what it throws ends the measurement. Throws Error(kMissingCapability) if there is no
/// GPU, or this build has no CUDA kernels.
[[nodiscard]] sim::LinkMeasurements measure_gpu_link(const std::function<void(double)>& progress);

}  // namespace kvsieve::profile
