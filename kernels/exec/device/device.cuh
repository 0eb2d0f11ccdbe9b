#pragma once
// The CUDA language for the kernels: the toolkit's headers under nvcc, the host SIMT executor's
// under the host compiler. Kernels are plain CUDA; only launches and dynamic shared memory go
// through this file, because g++ cannot parse their CUDA spelling.

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline_primitives.h>
#include <cuda_runtime.h>

#include <tuple>
#include <type_traits>
#include <utility>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#ifdef __CUDACC__
#include "exec/cuda/check.h"
#else
#include "exec/simt/executor.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// The block's dynamic shared memory, 16-byte aligned, LaunchConfig::shared_bytes long.
template <class T>
__device__ inline T* dynamic_shared() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) unsigned char kvsieve_dynamic_shared[];
  return reinterpret_cast<T*>(kvsieve_dynamic_shared);
#else
  return static_cast<T*>(simt::dynamic_shared_memory());
#endif
}

namespace detail {

template <auto Kernel, class... Params, class... Args>
void launch(void (*)(Params...), const LaunchConfig& config, Stream& stream, Args&&... args) {
  std::tuple<std::remove_cv_t<Params>...> params(std::forward<Args>(args)...);
#ifdef __CUDACC__
  std::apply(
      [&](auto&... values) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&values))...};
        const dim3 grid(config.grid.x, config.grid.y, config.grid.z);
        const dim3 block(config.block.x, config.block.y, config.block.z);
        const auto* function = reinterpret_cast<const void*>(Kernel);
        if (config.shared_bytes > 48 * 1024) {
          // More than 48 KiB has to be asked for, kernel by kernel.
          check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     static_cast<int>(config.shared_bytes)),
                "cudaFuncSetAttribute");
        }
        check(cudaLaunchKernel(function, grid, block, pointers, config.shared_bytes,
                               static_cast<cudaStream_t>(stream.handle())),
              "cudaLaunchKernel");
      },
      params);
#else
  simt::enqueue_kernel(stream.handle(), simt::kernel_name<Kernel>(), config,
                       [params] { std::apply(Kernel, params); });
#endif
}

}  // namespace detail

/// Enqueues Kernel<<<grid, block, shared_bytes, stream>>>(args...). A grid without blocks is a
/// no-op. Arguments are converted to the kernel's parameter types and copied.
template <auto Kernel, class... Args>
void launch(const LaunchConfig& config, Stream& stream, Args&&... args) {
  if (config.grid.x > 0 && config.grid.y > 0 && config.grid.z > 0) {
    detail::launch<Kernel>(Kernel, config, stream, std::forward<Args>(args)...);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
