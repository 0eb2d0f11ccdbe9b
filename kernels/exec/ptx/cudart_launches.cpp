// Entry points of the CUDA runtime that launch kernels.

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "exec/ptx/kernel_name.h"
#include "exec/ptx/standin_device.h"

namespace ptx = kvsieve::ptx;
using kvsieve::Error;
using kvsieve::ErrorKind;

namespace {

void launch(ptx::StandinDevice& device, const void* function, dim3 grid, dim3 block, void** values,
            std::size_t shared_bytes) {
  const ptx::RegisteredKernel& kernel = device.registry.kernel(function);
  const ptx::Program& program = kernel.binary->program(device.current_architecture());
  constexpr std::size_t kEveryKernelsBytes = std::size_t{48} << 10U;
  const std::size_t most_shared_bytes = kernel.max_dynamic_shared_bytes.value_or(
      kEveryKernelsBytes - std::min(kEveryKernelsBytes, program.static_shared_bytes(kernel.name)));
  if (shared_bytes > most_shared_bytes) {
    throw Error(ErrorKind::kInternal,
                fmt::format("{}: launched with {} bytes of dynamic shared memory, asked for {}",
                            ptx::display_name(kernel.name), shared_bytes, most_shared_bytes));
  }
  const std::vector<const void*> parameters(values,
                                            values + program.parameter_bytes(kernel.name).size());
  ptx::KernelRun& run = device.runs[kernel.name];
  run.block_threads = std::max(run.block_threads, block.x * block.y * block.z);
  run.dynamic_shared_bytes = std::max(run.dynamic_shared_bytes, shared_bytes);
  ptx::execute(program, kernel.name,
               {{grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes}, parameters,
               device.memory, {device.seed}, run.counters);
}

/// What <<<...>>> leaves for the stub of the kernel.
struct CallConfiguration {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};
thread_local std::vector<CallConfiguration> t_configurations;

}  // namespace

extern "C" {

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** parameters,
                             std::size_t shared_bytes, cudaStream_t /*stream*/) {
  return ptx::run_entry_point(cudaErrorLaunchFailure, [&](ptx::StandinDevice& device) {
    launch(device, function, grid, block, parameters, shared_bytes);
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return ptx::run_entry_point(cudaErrorInvalidValue, [&](ptx::StandinDevice& device) {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) {
      throw Error(ErrorKind::kInternal,
                  fmt::format("the stand-in for the CUDA runtime knows no attribute {} of kernels",
                              static_cast<int>(attribute)));
    }
    device.registry.kernel(function).max_dynamic_shared_bytes = static_cast<std::size_t>(value);
  });
}

// nvcc's own calls for <<<...>>>, which no header of the host compiler declares.
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes,
                                     CUstream_st* stream);
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes,
                                       void* stream);
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** parameters,
                               std::size_t shared_bytes, cudaStream_t stream);

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes,
                                     CUstream_st* stream) {
  t_configurations.push_back({grid, block, shared_bytes, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared_bytes,
                                       void* stream) {
  const CallConfiguration configuration = t_configurations.back();
  t_configurations.pop_back();
  *grid = configuration.grid;
  *block = configuration.block;
  *shared_bytes = configuration.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = configuration.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** parameters,
                               std::size_t shared_bytes, cudaStream_t /*stream*/) {
  return ptx::run_unchecked_entry_point(cudaErrorLaunchFailure, [&](ptx::StandinDevice& device) {
    launch(device, kernel, grid, block, parameters, shared_bytes);
  });
}

}  // extern "C"
