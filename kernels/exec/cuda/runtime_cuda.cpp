#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "exec/cuda/check.h"
#include "exec/device/runtime.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::cuda_ {
namespace {

cudaStream_t as_stream(void* handle) {
  return static_cast<cudaStream_t>(handle);
}
cudaEvent_t as_event(void* handle) {
  return static_cast<cudaEvent_t>(handle);
}

/// The two ways in which a machine says that it has no GPU: no driver, or a driver without device.
bool means_no_gpu(cudaError_t status) {
  return status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice;
}

std::string describe(cudaError_t status) {
  return fmt::format("CUDA error {}: {}", static_cast<int>(status), cudaGetErrorString(status));
}

}  // namespace

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) {
    return;
  }
  const bool missing = means_no_gpu(status) || status == cudaErrorMemoryAllocation;
  throw Error(missing ? ErrorKind::kMissingCapability : ErrorKind::kInternal,
              fmt::format("{}: {}", call, describe(status)));
}

std::optional<std::string> why_unavailable() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) {
    return fmt::format("no usable GPU ({})", describe(status));
  }
  return devices > 0 ? std::nullopt : std::optional<std::string>("no GPU in this machine");
}

Stream::Stream() {
  if (const auto reason = why_unavailable()) {
    throw Error(ErrorKind::kMissingCapability, *reason,
                "--backend simt runs the kernels without one");
  }
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  m_handle = stream;
}
Stream::~Stream() {
  cudaStreamDestroy(as_stream(m_handle));
}
void Stream::synchronize() {
  check(cudaStreamSynchronize(as_stream(m_handle)), "cudaStreamSynchronize");
}

Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  m_handle = event;
}
Event::~Event() {
  cudaEventDestroy(as_event(m_handle));
}
void Event::record(Stream& stream) {
  check(cudaEventRecord(as_event(m_handle), as_stream(stream.handle())), "cudaEventRecord");
}
void Event::block(Stream& stream) const {
  check(cudaStreamWaitEvent(as_stream(stream.handle()), as_event(m_handle), 0),
        "cudaStreamWaitEvent");
}
void Event::synchronize() const {
  check(cudaEventSynchronize(as_event(m_handle)), "cudaEventSynchronize");
}

void* allocate_device(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) {
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
      throw Error(ErrorKind::kMissingCapability,
                  fmt::format("the GPU has no room for another {} bytes", bytes));
    }
    check(status, "cudaMalloc");
  }
  return memory;
}
void free_device(void* memory) noexcept {
  cudaFree(memory);
}

void copy_to_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, as_stream(stream.handle())),
        "cudaMemcpyAsync");
}
void copy_to_host(void* target, const void* source, std::size_t bytes, Stream& stream) {
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, as_stream(stream.handle())),
        "cudaMemcpyAsync");
}
void copy_on_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  check(
      cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, as_stream(stream.handle())),
      "cudaMemcpyAsync");
}
void fill_device(void* target, unsigned char value, std::size_t bytes, Stream& stream) {
  check(cudaMemsetAsync(target, value, bytes, as_stream(stream.handle())), "cudaMemsetAsync");
}

}  // namespace kvsieve::kernels::cuda_
