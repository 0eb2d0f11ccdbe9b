#pragma once
// CUDA runtime errors as exceptions.

#include <cuda_runtime_api.h>

namespace kvsieve::kernels::cuda_ {

/// Throws Error naming `call` and CUDA's reason unless `status` is success: kMissingCapability if
/// there is no usable GPU or not enough memory, kInternal otherwise.
void check(cudaError_t status, const char* call);

}  // namespace kvsieve::kernels::cuda_
