#pragma once
// Names the operation that a launcher enqueues, for profilers.

#ifdef __CUDACC__
#include <nvtx3/nvToolsExt.h>
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// An NVTX range of the thread that encloses the launches; nothing without CUDA.
class OperationRange {
 public:
  explicit OperationRange([[maybe_unused]] const char* name) {
#ifdef __CUDACC__
    nvtxRangePushA(name);
#endif
  }
  ~OperationRange() {
#ifdef __CUDACC__
    nvtxRangePop();
#endif
  }
  OperationRange(const OperationRange&) = delete;
  OperationRange& operator=(const OperationRange&) = delete;
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
