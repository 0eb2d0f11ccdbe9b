#include <cuda_runtime.h>

#include "standin_kernels.h"

namespace kvsieve::ptx {
namespace {

constexpr int kThreads = 32;

__global__ void __launch_bounds__(kThreads) fill_kernel(int* numbers, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) {
    numbers[i] = i;
  }
}

__global__ void shared_kernel(int* number, int last) {
  extern __shared__ int shared[];
  volatile __shared__ int numbers[256];
  numbers[0] = 7;
  shared[last] = numbers[0];
  *number = shared[last];
}

}  // namespace

cudaError_t launch_fill(int* numbers, int count, cudaStream_t stream) {
  void* parameters[] = {&numbers, &count};
  return cudaLaunchKernel(reinterpret_cast<const void*>(fill_kernel),
                          dim3(static_cast<unsigned>((count + kThreads - 1) / kThreads)),
                          dim3(kThreads), parameters, 0, stream);
}

void launch_fill_in_brackets(int* numbers, int count, cudaStream_t stream) {
  fill_kernel<<<(count + kThreads - 1) / kThreads, kThreads, 0, stream>>>(numbers, count);
}

cudaError_t launch_with_shared(int* number, std::size_t shared_bytes, cudaStream_t stream) {
  int last = static_cast<int>(shared_bytes / sizeof(int)) - 1;
  void* parameters[] = {&number, &last};
  return cudaLaunchKernel(reinterpret_cast<const void*>(shared_kernel), dim3(1), dim3(1),
                          parameters, shared_bytes, stream);
}

cudaError_t allow_shared(std::size_t shared_bytes) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(shared_kernel),
                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(shared_bytes));
}

}  // namespace kvsieve::ptx
