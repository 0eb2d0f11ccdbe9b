#pragma once
// What the entry points of the stand-in share: the one device, and how their failures reach the
// caller.

#include <cuda_runtime_api.h>

#include <map>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "exec/ptx/kernel_registry.h"
#include "exec/ptx/memory.h"
#include "exec/ptx/standin.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {

/// Used under its mutex only.
struct StandinDevice {
  std::mutex mutex;
  KernelRegistry registry;
  Memory memory;
  int architecture = 0;  ///< 0 until somebody asks
  std::uint64_t seed = 0;
  std::map<std::string, KernelRun> runs;

  static StandinDevice& get();
  /// Throws Error(kUsage) for a KVSIEVE_PTX_ARCH that is no number.
  int current_architecture();
};

/// Makes `status` the result of an entry point, with `text` for cudaGetErrorString().
cudaError_t fail(cudaError_t status, const std::string& text);
/// The same for an entry point whose callers do not look: the next one that they look at returns
/// it, or else the program ends with it.
void fail_later(cudaError_t status, const std::string& text);
/// What fail_later() left, or success.
cudaError_t take_late_failure();
/// Text of the last failure with this status, or null.
const char* failure_text(cudaError_t status);

/// Work of the host in a stream, which may not call the runtime.
class HostWorkScope {
 public:
  HostWorkScope() { s_inside = true; }
  ~HostWorkScope() { s_inside = false; }
  HostWorkScope(const HostWorkScope&) = delete;
  HostWorkScope& operator=(const HostWorkScope&) = delete;

  static bool inside() { return s_inside; }

 private:
  static thread_local bool s_inside;
};

/// Runs work(device) of an entry point and turns what it throws into `status` and a text.
template <class Work>
cudaError_t run_entry_point(cudaError_t status, const Work& work) {
  if (HostWorkScope::inside()) {
    return fail(cudaErrorNotPermitted, "work of the host in a stream called the CUDA runtime");
  }
  if (const cudaError_t late = take_late_failure(); late != cudaSuccess) {
    return late;
  }
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  try {
    work(device);
    return cudaSuccess;
  } catch (const std::bad_alloc&) {
    return fail(cudaErrorMemoryAllocation, "out of memory");
  } catch (const std::exception& error) {
    return fail(status, error.what());
  }
}

/// The same for an entry point whose callers do not look at its result.
template <class Work>
cudaError_t run_unchecked_entry_point(cudaError_t status, const Work& work) {
  const cudaError_t result = run_entry_point(status, work);
  if (result != cudaSuccess) {
    fail_later(result, failure_text(result));
  }
  return result;
}

}  // namespace kvsieve::ptx
