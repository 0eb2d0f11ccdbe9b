#pragma once
// The run that `kvsieve profile` records, and the model of the same run beside it.

#include <optional>
#include <string>
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

/// Runs the plan on the GPU: as the replay of `run` does. Returns the result of a retrieval
/// method, whose decode steps are what can be modelled.
[[nodiscard]] std::optional<sim::RetrievalResult> run_on_gpu(const traces::Trace& trace,
                                                             const RunPlan& plan,
                                                             const sim::Progress& progress);

/// The numbers of the layers whose stages were recorded, in the order of their ranges.
[[nodiscard]] std::vector<std::int64_t> profiled_layers(const sim::RetrievalResult& result);

/// The decode steps of the result as the cost model has them: the trace's model, one sequence a
/// micro-batch, the loads that the trace shows.
[[nodiscard]] sim::Timeline modelled_steps(const Arguments& arguments, const traces::Trace& trace,
                                           const sim::RetrievalResult& result,
                                           const sim::HardwareProfile& hardware);

/// What the attention rows of the run have in common.
[[nodiscard]] profile::AttentionRowShape row_shape(const traces::Trace& trace,
                                                   const sim::RetrievalOptions& options,
                                                   const std::string& gpu,
                                                   const std::string& version);

}  // namespace kvsieve::cli
