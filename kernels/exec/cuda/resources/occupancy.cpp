// Occupancy of kernels by the toolkit's own calculator, without a GPU.
//
//   occupancy                    reads lines "COMPUTE_CAPABILITY REGISTERS THREADS SHARED_BYTES"
//   and
//                                prints "BLOCKS SHARE" for each: resident blocks of a
//                                multiprocessor and the share of its threads that they are
//   occupancy --dynamic-shared   prints "KERNEL BYTES", the dynamic shared memory that the
//   launchers
//                                ask for at the benchmarks' shape

#include <cuda_occupancy.h>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>

#include "dynamic_shared.h"

namespace {

cudaOccDeviceProp make_properties(int major, int minor, std::size_t shared_bytes) {
  cudaOccDeviceProp properties{};
  properties.computeMajor = major;
  properties.computeMinor = minor;
  properties.maxThreadsPerBlock = 1024;
  properties.maxThreadsPerMultiprocessor = 2048;
  properties.regsPerBlock = 65536;
  properties.regsPerMultiprocessor = 65536;
  properties.warpSize = 32;
  properties.numSms = 1;  // occupancy is of one multiprocessor
  properties.sharedMemPerBlock = 48 * 1024;
  properties.sharedMemPerMultiprocessor = shared_bytes;
  properties.reservedSharedMemPerBlock = 1024;
  properties.sharedMemPerBlockOptin = shared_bytes - properties.reservedSharedMemPerBlock;
  return properties;
}

/// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
const std::map<int, cudaOccDeviceProp> kDevices{{80, make_properties(8, 0, 164 * 1024)},
                                                {90, make_properties(9, 0, 228 * 1024)},
                                                {100, make_properties(10, 0, 228 * 1024)}};

int print_occupancies() {
  int capability = 0;
  int registers = 0;
  int threads = 0;
  std::size_t shared = 0;
  while (std::cin >> capability >> registers >> threads >> shared) {
    const auto device = kDevices.find(capability);
    if (device == kDevices.end()) {
      std::fprintf(stderr, "error: compute capability %d is unknown, known: 80, 90, 100\n",
                   capability);
      return 1;
    }
    cudaOccFuncAttributes attributes{};
    attributes.maxThreadsPerBlock = threads;
    attributes.numRegs = registers;
    attributes.maxDynamicSharedSizeBytes = device->second.sharedMemPerBlockOptin;
    attributes.partitionedGCConfig = PARTITIONED_GC_OFF;
    attributes.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    cudaOccDeviceState state{};
    state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult result{};
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device->second, &attributes, &state,
                                                threads, shared) != CUDA_OCC_SUCCESS) {
      std::fprintf(stderr, "error: no occupancy for %d registers, %d threads, %zu shared bytes\n",
                   registers, threads, shared);
      return 1;
    }
    const int blocks = result.activeBlocksPerMultiprocessor;
    std::printf("%d %.4f\n", blocks,
                static_cast<double>(blocks * threads) / device->second.maxThreadsPerMultiprocessor);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    return print_occupancies();
  }
  if (argc == 2 && std::strcmp(argv[1], "--dynamic-shared") == 0) {
    for (const auto& [kernel, bytes] : kvsieve::kernels::cuda_::dynamic_shared_of_kernels()) {
      std::printf("%s %zu\n", kernel.c_str(), bytes);
    }
    return 0;
  }
  std::fprintf(stderr, "usage: occupancy [--dynamic-shared]\n");
  return 2;
}
