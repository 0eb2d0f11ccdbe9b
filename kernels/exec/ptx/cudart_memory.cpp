// Entry points of the CUDA runtime that allocate, copy and fill memory.

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "exec/ptx/standin_device.h"

using kvsieve::Error;
using kvsieve::ErrorKind;
using kvsieve::ptx::MemoryKind;
using kvsieve::ptx::run_entry_point;
using kvsieve::ptx::run_unchecked_entry_point;
using kvsieve::ptx::StandinDevice;

namespace {

cudaError_t allocate(void** memory, std::size_t bytes, MemoryKind kind) {
  return run_entry_point(cudaErrorInvalidValue, [&](StandinDevice& device) {
    *memory = bytes == 0 ? nullptr : device.memory.allocate(bytes, kind);
  });
}

cudaError_t free_allocation(void* memory) {
  return run_unchecked_entry_point(cudaErrorInvalidValue, [&](StandinDevice& device) {
    if (memory != nullptr) {
      device.memory.free(memory);
    }
  });
}

/// Both ends are checked before a byte moves.
void copy(StandinDevice& device, void* target, const void* source, std::size_t bytes,
          cudaMemcpyKind kind) {
  if (bytes == 0) {
    return;
  }
  const bool from_device = device.memory.check_read(source, bytes);
  const bool to_device = device.memory.mark_written(target, bytes);
  // Where the addresses tell the way, one of them is the device's.
  const bool either = kind == cudaMemcpyDefault && (from_device || to_device);
  const bool source_fits = kind == cudaMemcpyHostToDevice || from_device || either;
  const bool target_fits = kind == cudaMemcpyDeviceToHost || to_device || either;
  if (!source_fits || !target_fits) {
    throw Error(ErrorKind::kInternal,
                fmt::format("copy of {} bytes {} memory that is not the device's", bytes,
                            source_fits ? "to" : "from"));
  }
  std::memcpy(target, source, bytes);
}

/// Places of `count` pieces: a batch may copy them in any order.
std::vector<std::size_t> piece_order(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> places(count);
  std::iota(places.begin(), places.end(), std::size_t{0});
  if (seed != 0) {
    std::shuffle(places.begin(), places.end(), std::mt19937_64(seed));
  }
  return places;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return allocate(memory, bytes, MemoryKind::kDevice);
}
cudaError_t cudaFree(void* memory) {
  return free_allocation(memory);
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned /*flags*/) {
  return allocate(memory, bytes, MemoryKind::kPinned);
}
cudaError_t cudaFreeHost(void* memory) {
  return free_allocation(memory);
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t /*stream*/) {
  return run_entry_point(cudaErrorInvalidValue,
                         [&](StandinDevice& device) { copy(device, target, source, bytes, kind); });
}

cudaError_t cudaMemcpyBatchAsync(void* const* targets, const void* const* sources,
                                 const std::size_t* sizes, std::size_t count,
                                 cudaMemcpyAttributes* /*attributes*/,
                                 std::size_t* /*attribute_begins*/, std::size_t /*attribute_count*/,
                                 cudaStream_t /*stream*/) {
  return run_entry_point(cudaErrorInvalidValue, [&](StandinDevice& device) {
    for (const std::size_t place : piece_order(count, device.seed)) {
      copy(device, targets[place], sources[place], sizes[place], cudaMemcpyDefault);
    }
  });
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t /*stream*/) {
  return run_entry_point(cudaErrorInvalidValue, [&](StandinDevice& device) {
    if (bytes > 0 && !device.memory.mark_written(target, bytes)) {
      throw Error(ErrorKind::kInternal,
                  fmt::format("{} bytes to fill are not the device's memory", bytes));
    }
    std::memset(target, value, bytes);
  });
}

}  // extern "C"
