#pragma once
// A launch: its blocks, spread over worker threads.

#include <functional>
#include <string>

#include "exec/device/launch_config.h"

namespace kvsieve::simt {

/// Throws Error(kInternal) if no GPU takes the configuration.
void check_launch(const std::string& name, const kernels::LaunchConfig& config);

/// Runs every block. Throws Error(kInternal) with the first block's problem, in the order they
/// were started; blocks not yet started are then dropped.
void run_grid(const std::string& name, const kernels::LaunchConfig& config,
              const std::function<void()>& body);

}  // namespace kvsieve::simt
