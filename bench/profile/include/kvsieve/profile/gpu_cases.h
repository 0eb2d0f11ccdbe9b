#pragma once
// The cases of `kvsieve bench --backend cuda`, to be recorded.

#include <functional>
#include <string>
#include <vector>

namespace kvsieve::profile {

/// Those in the size that is timed, ascending; none in a build without CUDA kernels.
[[nodiscard]] std::vector<std::string> gpu_case_names();

/// Runs each of these cases once, and then so many times under an NVTX range with its name.
/// `progress` gets the share that is finished; what it throws ends the run. Throws
/// Error(kMissingCapability) if there is no GPU, or this build has no CUDA kernels.
void run_gpu_cases(const std::vector<std::string>& names, int repetitions,
                   const std::function<void(double)>& progress);

}  // namespace kvsieve::profile
