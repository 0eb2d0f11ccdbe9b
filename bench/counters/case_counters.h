#pragma once
// What the kernels of a case do, counted on the PTX executor.

#include <string>
#include <vector>

#include "exec/cuda/occupancy.h"
#include "exec/ptx/standin.h"
#include "kvsieve/bench/device_case.h"

namespace kvsieve::bench {

/// One kernel of one case on one architecture.
struct CaseCounters {
  std::string case_name;
  std::string kernel;  ///< ptx::display_name()
  int architecture = 0;
  ptx::KernelRun run;
  ptx::KernelResources resources;
  kernels::Occupancy occupancy;  ///< of the largest block
};

/// Prepares the case, enqueues it once and counts that, by kernel in the order of their names.
/// Throws what the executor finds wrong, with the case's name.
[[nodiscard]] std::vector<CaseCounters> count_case(const cuda_::DeviceCase& item, int architecture);

}  // namespace kvsieve::bench
