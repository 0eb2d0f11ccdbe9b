// Timing the device cases: events of the stream around each iteration.

#include "device/bench_device.h"

#include <algorithm>
#include <memory>

#include "kvsieve/bench/device_case.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

constexpr double kSecondsPerUs = 1e-6;

/// Bytes a second of copies within the device, the quickest of several.
double measure_bandwidth() {
  constexpr std::size_t kBytes = std::size_t{512} << 20U;
  constexpr int kCopies = 10;
  device::Stream stream;
  const device::DeviceBuffer<std::byte> from(kBytes);
  const device::DeviceBuffer<std::byte> to(kBytes);
  device::fill_device(from.data(), 1, kBytes, stream);
  double best = 0.0;
  for (int copy = 0; copy < kCopies; ++copy) {
    device::Event begin;
    device::Event end;
    begin.record(stream);
    device::copy_on_device(to.data(), from.data(), kBytes, stream);
    end.record(stream);
    stream.synchronize();
    const double seconds = end.microseconds_since(begin).value_or(0.0) * kSecondsPerUs;
    best = std::max(best, 2.0 * kBytes / seconds);
  }
  return best;
}

/// A prepared operation and the stream that it runs on.
struct Runner {
  explicit Runner(const DeviceCase& item) : operation(item.prepare(stream)) {}

  double seconds() {
    begin.record(stream);
    operation->enqueue(stream);
    end.record(stream);
    stream.synchronize();
    return end.microseconds_since(begin).value_or(0.0) * kSecondsPerUs;
  }

  device::Stream stream;
  device::Event begin;
  device::Event end;
  std::unique_ptr<DeviceOperation> operation;
};

}  // namespace

std::vector<BenchCase> bench_cases() {
  if (const std::optional<std::string> reason = device::why_unavailable()) {
    throw Error(ErrorKind::kMissingCapability, "the backend cuda cannot run: " + *reason,
                "`kvsieve bench --counters` counts what the kernels do without a GPU");
  }
  std::vector<BenchCase> cases;
  for (const DeviceCase& item : device_cases()) {
    if (item.size == CaseSize::kTimed) {
      cases.push_back({item.name, 1,
                       [item] {
                         const auto runner = std::make_shared<Runner>(item);
                         PreparedCase prepared;
                         prepared.timed_iterate = [runner] { return runner->seconds(); };
                         prepared.work = [runner] { return runner->operation->work(); };
                         return prepared;
                       },
                       [] {
                         static const double bandwidth = measure_bandwidth();
                         return bandwidth;
                       }});
    }
  }
  return cases;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
