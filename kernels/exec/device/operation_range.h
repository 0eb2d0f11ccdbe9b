#pragma once
// Names the operation that a launcher enqueues, for profilers.

#if defined(__CUDACC__) || defined(KVSIEVE_HAS_NVTX)
#include <nvtx3/nvToolsExt.h>
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// An NVTX range of the thread, around launches or work on the host; nothing without CUDA.
class OperationRange {
 public:
  explicit OperationRange([[maybe_unused]] const char* name) {
#if defined(__CUDACC__) || defined(KVSIEVE_HAS_NVTX)
    nvtxRangePushA(name);
#endif
  }
  ~OperationRange() {
#if defined(__CUDACC__) || defined(KVSIEVE_HAS_NVTX)
    nvtxRangePop();
#endif
  }
  OperationRange(const OperationRange&) = delete;
  OperationRange& operator=(const OperationRange&) = delete;
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
