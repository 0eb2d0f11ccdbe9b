// Entry points of the CUDA runtime for streams, events and work of the host. Everything runs when
// it is enqueued: the order of issue is one of those that streams and events allow.

#include <cuda_runtime_api.h>

#include <chrono>
#include <memory>
#include <optional>

#include "exec/ptx/standin_device.h"

namespace ptx = kvsieve::ptx;
using kvsieve::Error;
using kvsieve::ErrorKind;

// The runtime's own names of what its handles point to.
struct CUstream_st {};
struct CUevent_st {
  std::optional<std::chrono::steady_clock::time_point> recorded;
};

namespace {

cudaError_t synchronize() {
  return ptx::run_entry_point(cudaErrorUnknown, [](ptx::StandinDevice& /*device*/) {});
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  return ptx::run_entry_point(cudaErrorInvalidValue, [&](ptx::StandinDevice& /*device*/) {
    *stream = std::make_unique<CUstream_st>().release();
  });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t /*stream*/) {
  return synchronize();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t /*stream*/, cudaEvent_t /*event*/,
                                unsigned /*flags*/) {
  return synchronize();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return ptx::run_entry_point(cudaErrorInvalidValue, [&](ptx::StandinDevice& /*device*/) {
    *event = std::make_unique<CUevent_st>().release();
  });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t /*stream*/) {
  return ptx::run_entry_point(cudaErrorInvalidValue, [&](ptx::StandinDevice& /*device*/) {
    event->recorded = std::chrono::steady_clock::now();
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t /*event*/) {
  return synchronize();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return ptx::run_entry_point(cudaErrorInvalidResourceHandle, [&](ptx::StandinDevice& /*device*/) {
    if (!begin->recorded || !end->recorded) {
      throw Error(ErrorKind::kInternal, "time between events that were not recorded");
    }
    using Milliseconds = std::chrono::duration<float, std::milli>;
    *milliseconds = Milliseconds(*end->recorded - *begin->recorded).count();
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t /*stream*/, cudaHostFn_t function, void* data) {
  if (const cudaError_t status = synchronize(); status != cudaSuccess) {
    return status;
  }
  const ptx::HostWorkScope scope;
  function(data);
  return cudaSuccess;
}

}  // extern "C"
