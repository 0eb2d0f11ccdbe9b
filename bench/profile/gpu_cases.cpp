#include "kvsieve/profile/gpu_cases.h"

#include "kvsieve/sim/backends.h"
#include "kvsieve/traces/error.h"
#if KVSIEVE_HAS_CUDA
#include "device/case_runner.h"
#endif

namespace kvsieve::profile {

std::vector<std::string> gpu_case_names() {
#if KVSIEVE_HAS_CUDA
  return cuda_::case_names();
#else
  return {};
#endif
}

void run_gpu_cases([[maybe_unused]] const std::vector<std::string>& names,
                   [[maybe_unused]] int repetitions,
                   [[maybe_unused]] const std::function<void(double)>& progress) {
  if (const auto reason = sim::why_unavailable(kernels::Backend::kCuda)) {
    throw Error(ErrorKind::kMissingCapability, "no case can run: " + *reason);
  }
#if KVSIEVE_HAS_CUDA
  cuda_::run_cases(names, repetitions, progress);
#endif
}

}  // namespace kvsieve::profile
