#pragma once
// What kernel launches need of the host SIMT executor (exec/device/device.cuh); see block.h for how
// a block runs.

#include <functional>
#include <string>
#include <string_view>

#include "exec/device/launch_config.h"
#include "exec/simt/order.h"

namespace kvsieve::simt {

/// Appends a launch to a stream's queue (Stream::handle()); it runs when something waits for it.
/// Throws Error(kInternal) for a configuration that no GPU takes.
void enqueue_kernel(void* queue, std::string name, const kernels::LaunchConfig& config,
                    std::function<void()> body);

/// The dynamic shared memory of the running block.
[[nodiscard]] void* dynamic_shared_memory();

/// From the compiler's name of kernel_name<Kernel>().
[[nodiscard]] std::string kernel_name_from(std::string_view pretty_function);

/// The kernel with its template arguments, for messages.
template <auto Kernel>
std::string kernel_name() {
  return kernel_name_from(__PRETTY_FUNCTION__);
}

}  // namespace kvsieve::simt
