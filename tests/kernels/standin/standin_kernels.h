#pragma once
// Kernels of standin_test.cpp and their launches.

#include <cuda_runtime_api.h>

namespace kvsieve::ptx {

/// numbers[i] = i for i in [0, count), 32 threads a block.
cudaError_t launch_fill(int* numbers, int count, cudaStream_t stream);
/// The same by <<<...>>>, which has no result.
void launch_fill_in_brackets(int* numbers, int count, cudaStream_t stream);
/// Stores 7 at the end of `shared_bytes` of dynamic shared memory and passes it on to *number. The
/// kernel has 1 KiB of static shared memory besides.
cudaError_t launch_with_shared(int* number, std::size_t shared_bytes, cudaStream_t stream);
/// Asks for as much dynamic shared memory first.
cudaError_t allow_shared(std::size_t shared_bytes);

}  // namespace kvsieve::ptx
