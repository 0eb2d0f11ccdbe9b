// Entry points of the CUDA runtime through which nvcc's objects announce their kernels.

#include <cuda_runtime_api.h>
#include <fatbinary_section.h>

#include <cstdio>
#include <cstdlib>

#include "exec/ptx/standin_device.h"

using kvsieve::ErrorKind;
using kvsieve::ptx::EmbeddedBinary;
using kvsieve::ptx::StandinDevice;

extern "C" {

// Declared by the compiler's own text, not by a header.
void** __cudaRegisterFatBinary(void* wrapper);
void __cudaRegisterFatBinaryEnd(void** handle);
void __cudaUnregisterFatBinary(void** handle);
void __cudaRegisterFunction(void** handle, const char* host_function, char* device_function,
                            const char* device_name, int thread_limit, uint3* thread, uint3* block,
                            dim3* block_extent, dim3* grid_extent, int* warp_size);

void** __cudaRegisterFatBinary(void* wrapper) {
  const auto* segment = static_cast<const __fatBinC_Wrapper_t*>(wrapper);
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  try {
    return reinterpret_cast<void**>(&device.registry.add_binary(segment->data));
  } catch (const std::exception& error) {
    // Nobody can catch it before main().
    std::fprintf(stderr, "error: %s\n", error.what());
    std::_Exit(static_cast<int>(ErrorKind::kInternal));
  }
}

void __cudaRegisterFatBinaryEnd(void** /*handle*/) {}
void __cudaUnregisterFatBinary(void** /*handle*/) {}

void __cudaRegisterFunction(void** handle, const char* host_function, char* /*device_function*/,
                            const char* device_name, int /*thread_limit*/, uint3* /*thread*/,
                            uint3* /*block*/, dim3* /*block_extent*/, dim3* /*grid_extent*/,
                            int* /*warp_size*/) {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  device.registry.add_kernel(*reinterpret_cast<EmbeddedBinary*>(handle), host_function,
                             device_name);
}

}  // extern "C"
