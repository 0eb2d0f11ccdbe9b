#pragma once
// The kernels' cases on a device: what `bench --backend cuda` times, `profile` records and
// kvsieve-counters counts. Inputs come from a fixed seed, so that counts are facts.

#include <any>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exec/device/runtime.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {

namespace device = kvsieve::kernels::KVSIEVE_BACKEND_NS;

/// An operation whose inputs are on the device.
class DeviceOperation {
 public:
  virtual ~DeviceOperation() = default;
  /// Enqueues it once more; each time the same work on the same inputs.
  virtual void enqueue(device::Stream& stream) = 0;
  /// The operation's own work function for these inputs.
  [[nodiscard]] virtual kernels::Work work() const = 0;
  /// What its launcher was given (RaggedDecodeArgs, ...); a std::vector of that where there are
  /// several calls, a std::tuple where that is no one struct.
  [[nodiscard]] virtual const std::any& arguments() const = 0;
  /// Everything that it wrote, as numbers in a fixed order, after waiting for the stream.
  [[nodiscard]] virtual std::vector<double> results(device::Stream& stream) const = 0;
};

enum class CaseSize {
  kCounted,  ///< small: runs on an executor in well under a second
  kTimed,    ///< large enough to be timed on a GPU
};

struct DeviceCase {
  std::string name;  ///< "ragged_decode/dtype:bf16/n:1024": operation, then its parameters
  CaseSize size = CaseSize::kCounted;
  /// Allocates and uploads the inputs.
  std::function<std::unique_ptr<DeviceOperation>(device::Stream&)> prepare;
};

/// Every operation in both sizes, sorted by name.
[[nodiscard]] std::vector<DeviceCase> device_cases();

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
