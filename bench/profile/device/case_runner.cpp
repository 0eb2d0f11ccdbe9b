#include "device/case_runner.h"

#include <algorithm>

#include "exec/device/operation_range.h"
#include "kvsieve/bench/device_case.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {
namespace {

namespace device = kernels::KVSIEVE_BACKEND_NS;
namespace cases = bench::KVSIEVE_BACKEND_NS;

}  // namespace

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const cases::DeviceCase& item : cases::device_cases()) {
    if (item.size == cases::CaseSize::kTimed) {
      names.push_back(item.name);
    }
  }
  return names;
}

void run_cases(const std::vector<std::string>& names, int repetitions,
               const std::function<void(double)>& progress) {
  device::Stream stream;
  double done = 0.0;
  for (const cases::DeviceCase& item : cases::device_cases()) {
    if (item.size != cases::CaseSize::kTimed ||
        std::find(names.begin(), names.end(), item.name) == names.end()) {
      continue;
    }
    const std::unique_ptr<cases::DeviceOperation> operation = item.prepare(stream);
    operation->enqueue(stream);
    stream.synchronize();
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      const device::OperationRange range(item.name.c_str());
      operation->enqueue(stream);
    }
    stream.synchronize();
    done += 1.0;
    if (progress) {
      progress(done / static_cast<double>(names.size()));
    }
  }
}

}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
