#pragma once
// A case of `kvsieve bench`: something that is done again and again while a clock runs.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/kernels/work.h"
#include "kvsieve/sim/transfer_time.h"

namespace kvsieve::bench {

/// A case with everything that an iteration needs.
struct PreparedCase {
  std::function<void()> iterate;  ///< one iteration
  /// In place of `iterate` for a case on a device: an iteration, and the seconds it took there.
  std::function<double()> timed_iterate;
  /// Of one iteration; asked after the last one. Empty where bytes and operations say nothing.
  std::function<kernels::Work()> work;
  /// The cost model's time for one iteration on a host; empty for what the model does not have.
  std::function<double(const sim::HostTimes&)> modelled_us;
  /// What an iteration handles, e.g. "points" and how many: reported as points_per_second.
  std::string items;
  double items_per_iteration = 1.0;
};

struct BenchCase {
  std::string name;  ///< "ragged_decode/dtype:bf16/n:32768/threads:1": operation, then parameters
  int threads = 1;   ///< that an iteration may use
  std::function<PreparedCase()> prepare;
  /// Of a case on a device, which has timed_iterate: bytes a second that its memory copies, read
  /// and written ones together. Empty for a case on the host.
  std::function<double()> device_bandwidth;
};

/// What the cases of the cpu backend depend on.
struct CpuCaseOptions {
  int threads = 1;    ///< of the cases that can use several
  std::string trace;  ///< that the replay's cases replay
};

/// The kernels' cases of the cpu backend, the replay's and the cost model's, sorted by name.
[[nodiscard]] std::vector<BenchCase> cpu_cases(const CpuCaseOptions& options);

/// The bundled sample trace: beside the installed program, or in the source tree that this was
/// built from.
[[nodiscard]] std::string sample_trace();

/// The kernels' cases of the cuda backend for timing, sorted by name.
/// Throws Error(kMissingCapability) in a build without CUDA or on a machine without a GPU.
[[nodiscard]] std::vector<BenchCase> cuda_cases();

/// Those whose name a regular expression (ECMAScript) finds something in; all for an empty one.
/// Throws Error(kUsage) if it is none, or finds nothing.
[[nodiscard]] std::vector<BenchCase> matching_cases(std::vector<BenchCase> cases,
                                                    const std::string& filter);

}  // namespace kvsieve::bench
