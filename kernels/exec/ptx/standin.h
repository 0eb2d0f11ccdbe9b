#pragma once
// The device that the stand-in for the CUDA runtime presents: objects that nvcc compiled run on the
// PTX executor where they are linked with kvsieve::kernels_ptx instead of the CUDA runtime.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "exec/ptx/counters.h"
#include "exec/ptx/cubin_resources.h"

namespace kvsieve::ptx {

/// The architecture whose PTX runs from now on, 80 for compute_80. At the start of the program it
/// is that of the environment variable KVSIEVE_PTX_ARCH, or else 80.
void set_architecture(int architecture);
[[nodiscard]] int architecture();

/// The order of blocks and warps of what is launched from now on (ExecuteOptions::seed).
void set_seed(std::uint64_t seed);

/// What the launches of one kernel did.
struct KernelRun {
  KernelCounters counters;
  unsigned block_threads = 0;            ///< of the largest block
  std::size_t dynamic_shared_bytes = 0;  ///< of a block, the most
};

/// Of the kernels launched since the counters were reset, by mangled name.
[[nodiscard]] std::map<std::string, KernelRun> counters_by_kernel();
void reset_counters();

/// Mangled names of all kernels in this program, sorted.
[[nodiscard]] std::vector<std::string> kernel_names();
/// Static resources of a kernel on the current architecture. Throws Error(kInternal) for an unknown
/// kernel, Error(kMissingCapability) if there is no machine code of that architecture.
[[nodiscard]] KernelResources resources_of(const std::string& kernel);

}  // namespace kvsieve::ptx
