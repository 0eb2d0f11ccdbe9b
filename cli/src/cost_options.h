#pragma once
// The options that say what is costed and where it runs, shared by `kvsieve cost` and `kvsieve
// run`.

#include "arguments.h"
#include "kvsieve/sim/cost_report.h"

namespace kvsieve::cli {

/// Tokens in the cache where neither an option nor a trace says.
inline constexpr std::int64_t kDefaultContext = 32'768;

/// The value of --context: 1 or more.
[[nodiscard]] std::int64_t read_context(std::string_view text);
/// Sets what --batch says: a number of sequences, or max.
void read_batch(std::string_view text, sim::CostRequest& request);

/// What is costed without a trace: --method, --model-shape, and the method's options.
void add_cost_method_options(Arguments& arguments);

/// The method that these options describe. Throws Error(kUsage) for options that it has not.
[[nodiscard]] sim::CostMethod read_cost_method(const Arguments& arguments,
                                               const sim::ModelDimensions& model);

/// Where a method runs: --hardware, --link, --cpu, --engine, --context, --batch, --kv-dtype,
/// --gpu-share, --host-share.
void add_hardware_options(Arguments& arguments, const std::string& context_default);

/// The request that these options describe for a model; the method is left to the caller.
/// @param context where --context is not given
/// Throws Error(kUsage) for values out of range, and for a profile that was calibrated for another
/// engine than --engine says.
[[nodiscard]] sim::CostRequest hardware_request(const Arguments& arguments,
                                                sim::ModelDimensions model, std::int64_t context);

/// Where a replayed trace is costed: add_hardware_options, --model-shape and --no-cost.
void add_run_cost_options(Arguments& arguments);

/// The request for a trace's model, or --model-shape, at its prompt's length, or --context. Method
/// and loads are left to the caller.
[[nodiscard]] sim::CostRequest run_cost_request(const Arguments& arguments,
                                                const traces::TraceHeader& trace);

/// The method of a replay, with the schedule and selection that the options say.
[[nodiscard]] sim::CostMethod run_cost_method(const Arguments& arguments,
                                              const sim::EvictionResult& result);
[[nodiscard]] sim::CostMethod run_cost_method(const Arguments& arguments,
                                              const sim::RetrievalResult& result);

}  // namespace kvsieve::cli
