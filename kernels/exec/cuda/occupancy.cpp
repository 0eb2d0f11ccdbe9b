#include "exec/cuda/occupancy.h"

#include <cuda_occupancy.h>
#include <fmt/format.h>

#include <map>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
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

}  // namespace

Occupancy occupancy_of(int architecture, const BlockResources& block) {
  const auto device = kDevices.find(architecture);
  if (device == kDevices.end()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("compute capability {} is unknown, known: 80, 90, 100", architecture));
  }
  cudaOccFuncAttributes attributes{};
  attributes.maxThreadsPerBlock = block.threads;
  attributes.numRegs = block.registers;
  attributes.maxDynamicSharedSizeBytes = device->second.sharedMemPerBlockOptin;
  attributes.partitionedGCConfig = PARTITIONED_GC_OFF;
  attributes.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  cudaOccDeviceState state{};
  state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
  cudaOccResult result{};
  if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device->second, &attributes, &state,
                                              block.threads,
                                              block.shared_bytes) != CUDA_OCC_SUCCESS) {
    throw Error(ErrorKind::kUsage,
                fmt::format("no occupancy for {} registers, {} threads, {} shared bytes",
                            block.registers, block.threads, block.shared_bytes));
  }
  const int blocks = result.activeBlocksPerMultiprocessor;
  return {blocks,
          static_cast<double>(blocks * block.threads) / device->second.maxThreadsPerMultiprocessor};
}

}  // namespace kvsieve::kernels
