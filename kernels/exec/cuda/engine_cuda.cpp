#include "a2ats/retrieval_engine_device.h"
#include "adakv/eviction_engine_device.h"

namespace kvsieve::kernels {

std::unique_ptr<EvictionEngine> make_cuda_eviction_engine() {
  return cuda_::make_device_eviction_engine("cuda");
}

std::unique_ptr<RetrievalEngine> make_cuda_retrieval_engine() {
  return cuda_::make_device_retrieval_engine("cuda");
}

std::optional<std::string> why_cuda_is_unavailable() {
  return cuda_::why_unavailable();
}

}  // namespace kvsieve::kernels
