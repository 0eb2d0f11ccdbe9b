#pragma once
// Decode steps over what an eviction method left of the prompt, to be recorded.

#include "kvsieve/sim/eviction_replay.h"

namespace kvsieve::profile {

/// Compacts the cache of every layer that `result` touched into a ragged one, and runs the
/// attention of every decode step of the trace over it, each under the range of its stage. The
/// result must hold the kept tokens (EvictionDetail::kFull). `progress` gets the share that is
/// finished; what it throws ends the run. Throws Error(kMissingCapability) if there is no GPU, or
/// this build has no CUDA kernels; Error(kUsage) for a shape that has no kernel.
void run_gpu_decode(const traces::Trace& trace, const sim::EvictionResult& result,
                    const sim::Progress& progress);

}  // namespace kvsieve::profile
