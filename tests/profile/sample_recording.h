#pragma once
// A recording of decode steps that nobody ran: the stages of the task graph, each with a time that
// follows from its name, as CUPTI would have recorded them.

#include <cstdint>
#include <string>
#include <vector>

#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/profile/recording.h"

namespace kvsieve::profile::tests {

struct SampleRun {
  std::uint32_t cupti_version = 130001;
  kernels::DecodeGraphShape shape;
  std::int32_t steps = 2;
  std::string trace_name;
  std::string trace_hash;
  std::vector<std::int64_t> layers;  ///< the model's
  std::vector<std::string> words;
};

/// Time of a stage in the sample: 1 us for the first, 2 for the second, and so on.
[[nodiscard]] std::int64_t sample_ns(kernels::StepStage stage);

/// Copies have 4,096 bytes in 3 pieces. A stage on the GPU has two kernels with a gap of 250 ns.
[[nodiscard]] ActivityRecording sample_recording(const SampleRun& run);

}  // namespace kvsieve::profile::tests
