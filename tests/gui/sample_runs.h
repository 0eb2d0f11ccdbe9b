#pragma once
// Runs of the bundled sample as `kvsieve run` writes them, made without a file.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/run.h"
#include "kvsieve/sim/decode_replay.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::gui::tests {

/// The bundled sample: 2,009 prompt tokens, 64 decode steps, Hq 9, Hkv 3, d 64.
[[nodiscard]] std::shared_ptr<const traces::Trace> sample_trace();

struct SampleRun {
  std::vector<std::int64_t> layers{0, 4};
  bool latency = false;  ///< decode steps on the cpu backend too
  bool cost = true;      ///< on an a100-sxm-80
};
/// A retrieval run; `change` may set its options.
[[nodiscard]] std::shared_ptr<const Run> retrieval_run(
    const char* preset, const SampleRun& sample = {},
    const std::function<void(sim::RetrievalOptions&)>& change = {});
/// An ada-snapkv run.
[[nodiscard]] std::shared_ptr<const Run> eviction_run();
/// An eviction run of layers 0, 4 and 8 with all losses and bounds, without a cost.
[[nodiscard]] std::shared_ptr<const Run> sample_run(
    const std::string& preset, const std::string& budget,
    sim::Granularity granularity = sim::Granularity::kKvHead,
    kernels::AlphaMode mode = kernels::AlphaMode::kBlend);
/// The head's entry in a run. Throws std::logic_error if there is none.
[[nodiscard]] const sim::Node& head_node(const Run& run, std::int64_t layer, std::int64_t head);

}  // namespace kvsieve::gui::tests
