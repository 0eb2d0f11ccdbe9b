#include "case_counters.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "exec/ptx/kernel_name.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::bench {
namespace {

std::map<std::string, ptx::KernelRun> run_case(const cuda_::DeviceCase& item) {
  cuda_::device::Stream stream;
  const std::unique_ptr<cuda_::DeviceOperation> operation = item.prepare(stream);
  stream.synchronize();
  ptx::reset_counters();
  operation->enqueue(stream);
  stream.synchronize();
  return ptx::counters_by_kernel();
}

CaseCounters describe(const std::string& mangled, const ptx::KernelRun& run) {
  CaseCounters result;
  result.kernel = ptx::display_name(mangled);
  result.architecture = ptx::architecture();
  result.run = run;
  result.resources = ptx::resources_of(mangled);
  result.occupancy = kernels::occupancy_of(
      result.architecture, {result.resources.registers, static_cast<int>(run.block_threads),
                            result.resources.static_shared_bytes + run.dynamic_shared_bytes});
  return result;
}

}  // namespace

std::vector<CaseCounters> count_case(const cuda_::DeviceCase& item, int architecture) {
  ptx::set_architecture(architecture);
  std::map<std::string, CaseCounters> by_name;
  try {
    for (const auto& [mangled, run] : run_case(item)) {
      CaseCounters counters = describe(mangled, run);
      counters.case_name = item.name;
      if (!by_name.emplace(counters.kernel, counters).second) {
        throw Error(ErrorKind::kInternal,
                    fmt::format("two kernels have the name {}", counters.kernel));
      }
    }
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: sm_{}: {}", item.name, architecture, error.what()),
                error.hint());
  }
  std::vector<CaseCounters> results;
  for (auto& [name, counters] : by_name) {
    results.push_back(std::move(counters));
  }
  return results;
}

}  // namespace kvsieve::bench
