#include "kvsieve/profile/gpu_link.h"

#include "kvsieve/sim/backends.h"
#include "kvsieve/traces/error.h"
#if KVSIEVE_HAS_CUDA
#include "device/link_probe.h"
#endif

namespace kvsieve::profile {

sim::LinkMeasurements measure_gpu_link(
    [[maybe_unused]] const std::function<void(double)>& progress) {
  if (const auto reason = sim::why_unavailable(kernels::Backend::kCuda)) {
    throw Error(ErrorKind::kMissingCapability, "the link cannot be measured: " + *reason,
                "--from FILE fits one to transfers that were measured elsewhere");
  }
#if KVSIEVE_HAS_CUDA
  return cuda_::measure_link(cuda_::link_plan(), progress);
#else
  return {};
#endif
}

}  // namespace kvsieve::profile
