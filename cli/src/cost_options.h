#pragma once
// The options that say what is costed and where it runs, shared by `kvsieve cost` and `kvsieve
// run`.

#include "arguments.h"
#include "kvsieve/sim/cost_report.h"

namespace kvsieve::cli {

/// Where a method runs: --hardware, --link, --cpu, --engine, --context, --batch, --kv-dtype,
/// --gpu-share, --host-share.
void add_hardware_options(Arguments& arguments, const std::string& context_default);

/// The request that these options describe for a model; the method is left to the caller.
/// @param context where --context is not given
/// Throws Error(kUsage) for values out of range, and for a profile that was calibrated for another
/// engine than --engine says.
[[nodiscard]] sim::CostRequest hardware_request(const Arguments& arguments,
                                                sim::ModelDimensions model, std::int64_t context);

}  // namespace kvsieve::cli
