#pragma once
// The device cases as cases of `kvsieve bench`.

#include <vector>

#include "kvsieve/bench/bench_case.h"

namespace kvsieve::bench {
namespace cuda_ {

/// Those for timing. Throws Error(kMissingCapability) if the backend cannot run here.
[[nodiscard]] std::vector<BenchCase> bench_cases();

}  // namespace cuda_
}  // namespace kvsieve::bench
