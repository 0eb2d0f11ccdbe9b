#include "adakv/eviction_engine_device.h"

namespace kvsieve::kernels {

std::unique_ptr<EvictionEngine> make_simt_eviction_engine() {
  return simt_::make_device_eviction_engine("simt");
}

}  // namespace kvsieve::kernels
