#pragma once
// The kernels' timed cases under ranges of their own.

#include <functional>
#include <string>
#include <vector>

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {

/// Of the cases in the size that is timed, ascending.
[[nodiscard]] std::vector<std::string> case_names();

/// Runs each of these cases once, and then so many times under a range with its name.
/// Throws Error(kMissingCapability) if there is no GPU or not enough memory.
void run_cases(const std::vector<std::string>& names, int repetitions,
               const std::function<void(double)>& progress);

}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
