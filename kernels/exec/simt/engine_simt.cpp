#include "a2ats/retrieval_engine_device.h"
#include "adakv/eviction_engine_device.h"

namespace kvsieve::kernels {

std::unique_ptr<EvictionEngine> make_simt_eviction_engine() {
  return simt_::make_device_eviction_engine("simt");
}

std::unique_ptr<RetrievalEngine> make_simt_retrieval_engine() {
  return simt_::make_device_retrieval_engine("simt");
}

}  // namespace kvsieve::kernels
