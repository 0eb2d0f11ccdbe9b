// Stands between nvcc's objects and the stand-in for the CUDA runtime (the linker's --wrap): every
// call does what it does there, and the rehearsed GPU hears of it.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <iterator>
#include <map>
#include <thread>

#include "exec/ptx/standin_device.h"
#include "profile/rehearsed_gpu.h"

namespace ptx = kvsieve::ptx;
using kvsieve::profile::tests::RehearsedGpu;
using kvsieve::profile::tests::RehearsedKernel;

namespace {

constexpr std::uint32_t kMemcpyAsync = 41;
constexpr std::uint32_t kMemcpyBatchAsync = 509;
constexpr std::uint8_t kHostToDevice = 1;
constexpr std::uint8_t kDeviceToHost = 2;
constexpr std::uint8_t kDeviceToDevice = 8;

RehearsedGpu& gpu() {
  return RehearsedGpu::get();
}

std::uint8_t activity_kind_of(cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return kHostToDevice;
    case cudaMemcpyDeviceToHost:
      return kDeviceToHost;
    default:
      return kDeviceToDevice;
  }
}

/// Ends of the pinned allocations, by their begin.
std::map<const void*, const void*>& pinned_ends() {
  static std::map<const void*, const void*> ends;
  return ends;
}
bool is_pinned(const void* memory) {
  const auto after = pinned_ends().upper_bound(memory);
  return after != pinned_ends().begin() && memory < std::prev(after)->second;
}

ptx::Counters counted(const std::string& kernel) {
  ptx::StandinDevice& device = ptx::StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  return device.runs[kernel].counters.total;
}

std::string name_of(const void* function) {
  ptx::StandinDevice& device = ptx::StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  return device.registry.kernel(function).name;
}

/// Launches by `launch`, and tells what the executor counted.
template <class Launch>
cudaError_t launched(const void* function, cudaStream_t stream, const Launch& launch) {
  RehearsedKernel kernel{name_of(function)};
  const ptx::Counters before = counted(kernel.name);
  const cudaError_t status = launch();
  const ptx::Counters after = counted(kernel.name);
  kernel.link_bytes = after.pinned_load_bytes - before.pinned_load_bytes +
                      after.pinned_store_bytes - before.pinned_store_bytes;
  kernel.memory_bytes = after.global_load_bytes - before.global_load_bytes +
                        after.global_store_bytes - before.global_store_bytes - kernel.link_bytes;
  gpu().launch(kernel, stream);
  return status;
}

/// Work of the host, on a thread of its own as the driver has it.
struct HostWork {
  cudaHostFn_t function;
  void* data;
  cudaStream_t stream;

  static void CUDART_CB run(void* work) {
    const auto* self = static_cast<HostWork*>(work);
    std::thread([self] {
      gpu().begin_host_work(self->stream);
      self->function(self->data);
      gpu().end_host_work(self->stream);
    }).join();
  }
};

}  // namespace

extern "C" {

// What the linker makes of the calls.
cudaError_t __real_cudaGetDeviceCount(int* count);
cudaError_t __real_cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** parameters,
                                    std::size_t shared_bytes, cudaStream_t stream);
cudaError_t __real___cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** parameters,
                                      std::size_t shared_bytes, cudaStream_t stream);
cudaError_t __real_cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                                   cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t __real_cudaMemcpyBatchAsync(void* const* targets, const void* const* sources,
                                        const std::size_t* sizes, std::size_t count,
                                        cudaMemcpyAttributes* attributes,
                                        std::size_t* attribute_begins, std::size_t attribute_count,
                                        cudaStream_t stream);
cudaError_t __real_cudaHostAlloc(void** memory, std::size_t bytes, unsigned flags);
cudaError_t __real_cudaFreeHost(void* memory);
cudaError_t __real_cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t __real_cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data);
cudaError_t __real_cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t __real_cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t __real_cudaStreamSynchronize(cudaStream_t stream);

cudaError_t __wrap_cudaGetDeviceCount(int* count);
cudaError_t __wrap_cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** parameters,
                                    std::size_t shared_bytes, cudaStream_t stream);
cudaError_t __wrap___cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** parameters,
                                      std::size_t shared_bytes, cudaStream_t stream);
cudaError_t __wrap_cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                                   cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t __wrap_cudaMemcpyBatchAsync(void* const* targets, const void* const* sources,
                                        const std::size_t* sizes, std::size_t count,
                                        cudaMemcpyAttributes* attributes,
                                        std::size_t* attribute_begins, std::size_t attribute_count,
                                        cudaStream_t stream);
cudaError_t __wrap_cudaHostAlloc(void** memory, std::size_t bytes, unsigned flags);
cudaError_t __wrap_cudaFreeHost(void* memory);
cudaError_t __wrap_cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t __wrap_cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data);
cudaError_t __wrap_cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t __wrap_cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t __wrap_cudaStreamSynchronize(cudaStream_t stream);
cudaError_t __wrap_cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);

cudaError_t __wrap_cudaGetDeviceCount(int* count) {
  gpu().initialise();
  return __real_cudaGetDeviceCount(count);
}

cudaError_t __wrap_cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** parameters,
                                    std::size_t shared_bytes, cudaStream_t stream) {
  return launched(function, stream, [&] {
    return __real_cudaLaunchKernel(function, grid, block, parameters, shared_bytes, stream);
  });
}
cudaError_t __wrap___cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** parameters,
                                      std::size_t shared_bytes, cudaStream_t stream) {
  return launched(kernel, stream, [&] {
    return __real___cudaLaunchKernel(kernel, grid, block, parameters, shared_bytes, stream);
  });
}

cudaError_t __wrap_cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                                   cudaMemcpyKind kind, cudaStream_t stream) {
  gpu().copy(activity_kind_of(kind), static_cast<std::int64_t>(bytes), 1, stream, kMemcpyAsync);
  return __real_cudaMemcpyAsync(target, source, bytes, kind, stream);
}

cudaError_t __wrap_cudaMemcpyBatchAsync(void* const* targets, const void* const* sources,
                                        const std::size_t* sizes, std::size_t count,
                                        cudaMemcpyAttributes* attributes,
                                        std::size_t* attribute_begins, std::size_t attribute_count,
                                        cudaStream_t stream) {
  std::int64_t bytes = 0;
  for (std::size_t piece = 0; piece < count; ++piece) {
    bytes += static_cast<std::int64_t>(sizes[piece]);
  }
  gpu().copy(is_pinned(targets[0]) ? kDeviceToHost : kHostToDevice, bytes,
             static_cast<std::int64_t>(count), stream, kMemcpyBatchAsync);
  return __real_cudaMemcpyBatchAsync(targets, sources, sizes, count, attributes, attribute_begins,
                                     attribute_count, stream);
}

cudaError_t __wrap_cudaHostAlloc(void** memory, std::size_t bytes, unsigned flags) {
  const cudaError_t status = __real_cudaHostAlloc(memory, bytes, flags);
  pinned_ends()[*memory] = static_cast<const std::byte*>(*memory) + bytes;
  return status;
}

cudaError_t __wrap_cudaFreeHost(void* memory) {
  pinned_ends().erase(memory);
  return __real_cudaFreeHost(memory);
}

cudaError_t __wrap_cudaMemsetAsync(void* target, int value, std::size_t bytes,
                                   cudaStream_t stream) {
  gpu().fill(static_cast<std::int64_t>(bytes), stream);
  return __real_cudaMemsetAsync(target, value, bytes, stream);
}

cudaError_t __wrap_cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  gpu().enqueue_host_work();
  HostWork work{function, data, stream};
  return __real_cudaLaunchHostFunc(stream, &HostWork::run, &work);
}

cudaError_t __wrap_cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  gpu().record_event(event, stream);
  return __real_cudaEventRecord(event, stream);
}
cudaError_t __wrap_cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  gpu().wait_for_event(event, stream);
  return __real_cudaStreamWaitEvent(stream, event, flags);
}
cudaError_t __wrap_cudaStreamSynchronize(cudaStream_t stream) {
  gpu().synchronize(stream);
  return __real_cudaStreamSynchronize(stream);
}
cudaError_t __wrap_cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = gpu().milliseconds_between(begin, end);
  return cudaSuccess;
}

}  // extern "C"
