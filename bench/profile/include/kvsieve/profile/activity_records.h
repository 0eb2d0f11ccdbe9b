#pragma once
// A recording's activity records as plain structs. Times are nanoseconds of CUPTI's clock.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kvsieve/profile/recording.h"

namespace kvsieve::profile {

/// What ran on a GPU.
struct GpuActivity {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint32_t device = 0;
  std::uint32_t stream = 0;
  std::uint32_t correlation = 0;  ///< of the call that enqueued it
};

struct KernelActivity : GpuActivity {
  std::string name;  ///< as nvcc mangled it
  std::array<std::int32_t, 3> grid{};
  std::array<std::int32_t, 3> block{};
  std::int64_t registers = 0;     ///< a thread
  std::int64_t shared_bytes = 0;  ///< static and dynamic
};

/// Where copied bytes came from and went to.
enum class CopyWay { kToGpu, kToHost, kOnGpu, kOther };

struct CopyActivity : GpuActivity {
  CopyWay way = CopyWay::kOther;
  std::int64_t bytes = 0;
  std::int64_t pieces = 1;  ///< copies that this record stands for, more than one of a batch
};

/// Memory that was set to a value.
struct FillActivity : GpuActivity {
  std::int64_t bytes = 0;
};

/// A call of the CUDA runtime or driver.
struct CallActivity {
  std::string name;  ///< "cudaLaunchKernel"
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint32_t thread = 0;
  std::uint32_t correlation = 0;
  bool failed = false;
};

/// An NVTX range of a thread.
struct RangeActivity {
  std::string name;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint32_t thread = 0;
};

/// Time that profiling or loading code took from a thread.
struct OverheadActivity {
  std::string name;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint32_t thread = 0;
};

struct DeviceActivity {
  std::uint32_t id = 0;
  std::string name;
  std::int64_t multiprocessors = 0;
  std::int64_t major = 0;  ///< compute capability
  std::int64_t minor = 0;
};

struct ActivityRecords {
  std::vector<KernelActivity> kernels;
  std::vector<CopyActivity> copies;
  std::vector<FillActivity> fills;
  std::vector<CallActivity> calls;
  std::vector<RangeActivity> ranges;
  std::vector<OverheadActivity> overheads;
  std::vector<DeviceActivity> devices;

  std::map<std::uint32_t, std::int64_t> unknown;  ///< records of kinds that are not read, by kind
  std::int64_t truncated = 0;                     ///< shorter than their kind is
  std::int64_t implausible = 0;                   ///< with times or sizes that make no sense
  std::int64_t unclosed = 0;                      ///< ranges with only one of begin and end
  std::int64_t dropped = 0;                       ///< by CUPTI, while it recorded
  /// A version newer than the layouts that are known; fields are only ever added, so it was read.
  bool newer = false;
};

/// Reads the records by the layouts of the recording's CUPTI. Each list ascends by begin, then end.
/// Throws Error(kBadInput) for a CUPTI older than that of CUDA 12.0.
[[nodiscard]] ActivityRecords parse_activities(const ActivityRecording& recording);

}  // namespace kvsieve::profile
