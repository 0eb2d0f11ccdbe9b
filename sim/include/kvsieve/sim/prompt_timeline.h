#pragma once
// What compressing or encoding the prompt's cache takes, layer by layer: the stages between prefill
// and the first decode step.

#include <cstdint>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/sim/timeline.h"

namespace kvsieve::sim {

/// Of an eviction method: window-scores (of scorers that read attention), allocation (of adaptive
/// methods), selection and compaction of every layer that it touched, one after the other on the
/// GPU. Scores are those of fp32 keys, as the replay's kernels read them. Step 0, micro-batch 0.
[[nodiscard]] Timeline prompt_timeline(const HardwareProfile& hardware,
                                       const traces::TraceHeader& trace,
                                       const EvictionResult& result);

/// Of a retrieval method with codes: key-encoding of every layer that it touched and every
/// micro-batch.
/// @param codewords that were used
[[nodiscard]] Timeline prompt_timeline(const HardwareProfile& hardware,
                                       const traces::TraceHeader& trace,
                                       const RetrievalResult& result, std::int64_t codewords,
                                       std::int64_t micro_batches);

}  // namespace kvsieve::sim
