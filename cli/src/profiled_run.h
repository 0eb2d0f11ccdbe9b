#pragma once
// The run that `kvsieve profile` records, and the model of the same run beside it.

#include <string>
#include <variant>
#include <vector>

#include "arguments.h"
#include "kvsieve/profile/attention_rows.h"
#include "kvsieve/profile/recording.h"
#include "kvsieve/sim/cost_report.h"
#include "kvsieve/traces/trace.h"
#include "run_options.h"

namespace kvsieve::cli {

/// Of a command line's words, those that belong to the options of add_method_options.
[[nodiscard]] std::vector<std::string> method_words(const std::vector<std::string>& words);

/// The options that a recording was made with, parsed. Throws Error(kBadInput) naming the file for
/// words that are none.
[[nodiscard]] Arguments recorded_arguments(const profile::RecordedRun& run,
                                           const std::string& file);

/// What a run did, which the model needs to know.
using ProfiledResult = std::variant<sim::EvictionResult, sim::RetrievalResult>;

/// Runs the plan on the GPU: as the replay of `run` does, and of an eviction method the decode
/// steps over what it left of the prompt.
[[nodiscard]] ProfiledResult run_on_gpu(const traces::Trace& trace, const RunPlan& plan,
                                        const sim::Progress& progress);

/// Replays the plan on this machine's CPU: every backend keeps and retrieves the same tokens.
[[nodiscard]] ProfiledResult replay_on_cpu(const traces::Trace& trace, const RunPlan& plan,
                                           const sim::Progress& progress);

/// The numbers of the layers whose stages were recorded, in the order of their ranges.
[[nodiscard]] std::vector<std::int64_t> profiled_layers(const ProfiledResult& result);

/// What is modelled of a run.
struct ModelledRun {
  sim::Timeline prompt;  ///< between prefill and the first step
  sim::Timeline steps;
};

/// The run as the cost model has it: the trace's model, one sequence a micro-batch, the loads that
/// the trace shows.
[[nodiscard]] ModelledRun modelled_run(const Arguments& arguments, const traces::Trace& trace,
                                       const ProfiledResult& result,
                                       const sim::HardwareProfile& hardware);

/// What the attention rows of the run have in common. The result must outlive it.
[[nodiscard]] profile::AttentionRowShape row_shape(const traces::Trace& trace,
                                                   const ProfiledResult& result,
                                                   const std::string& gpu,
                                                   const std::string& version);

}  // namespace kvsieve::cli
