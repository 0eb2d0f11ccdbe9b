#include "device/bench_device.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::bench {

#if KVSIEVE_HAS_CUDA
std::vector<BenchCase> cuda_cases() {
  return cuda_::bench_cases();
}
#else
std::vector<BenchCase> cuda_cases() {
  throw Error(ErrorKind::kMissingCapability,
              "the backend cuda cannot run: this build has no CUDA kernels (no nvcc, or "
              "KVSIEVE_ENABLE_CUDA=OFF)",
              "`kvsieve bench --counters` counts what they do without a GPU");
}
#endif

}  // namespace kvsieve::bench
