#include "kvsieve/profile/gpu_decode.h"

#include "kvsieve/sim/backends.h"
#include "kvsieve/traces/error.h"
#if KVSIEVE_HAS_CUDA
#include "device/ragged_steps.h"
#endif

namespace kvsieve::profile {

void run_gpu_decode([[maybe_unused]] const traces::Trace& trace,
                    [[maybe_unused]] const sim::EvictionResult& result,
                    [[maybe_unused]] const sim::Progress& progress) {
  if (const auto reason = sim::why_unavailable(kernels::Backend::kCuda)) {
    throw Error(ErrorKind::kMissingCapability, "no decode step can run: " + *reason);
  }
#if KVSIEVE_HAS_CUDA
  cuda_::RaggedSteps steps(trace, result);
  for (std::int64_t step = 0; step < trace.header().decode_tokens; ++step) {
    steps.run(step);
    if (progress) {
      progress(static_cast<double>(step + 1) / static_cast<double>(trace.header().decode_tokens));
    }
  }
#endif
}

}  // namespace kvsieve::profile
