#include <algorithm>
#include <iterator>

#include "device/case_groups.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {

std::vector<DeviceCase> device_cases() {
  std::vector<DeviceCase> all;
  for (const auto group : {attention_cases, cache_cases, codebook_cases, eviction_cases, loss_cases,
                           retrieval_cases, transfer_cases}) {
    std::vector<DeviceCase> cases = group();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end(),
            [](const DeviceCase& a, const DeviceCase& b) { return a.name < b.name; });
  return all;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
