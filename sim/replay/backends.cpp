#include "kvsieve/sim/backends.h"

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

#if KVSIEVE_HAS_CUDA
std::optional<std::string> why_no_cuda() {
  return kernels::why_cuda_is_unavailable();
}
std::unique_ptr<kernels::EvictionEngine> make_cuda_eviction_engine() {
  return kernels::make_cuda_eviction_engine();
}
std::unique_ptr<kernels::RetrievalEngine> make_cuda_retrieval_engine() {
  return kernels::make_cuda_retrieval_engine();
}
#else
std::optional<std::string> why_no_cuda() {
  return "this build has no CUDA kernels (no nvcc, or KVSIEVE_ENABLE_CUDA=OFF)";
}
std::unique_ptr<kernels::EvictionEngine> make_cuda_eviction_engine() {
  return nullptr;
}
std::unique_ptr<kernels::RetrievalEngine> make_cuda_retrieval_engine() {
  return nullptr;
}
#endif

void require_available(kernels::Backend backend) {
  if (const auto reason = why_unavailable(backend)) {
    throw Error(ErrorKind::kMissingCapability,
                "the backend " + std::string(kernels::name_of(backend)) + " cannot run: " + *reason,
                "--backend simt runs the same kernels on the host");
  }
}

}  // namespace

std::optional<std::string> why_unavailable(kernels::Backend backend) {
  return backend == kernels::Backend::kCuda ? why_no_cuda() : std::nullopt;
}

std::unique_ptr<kernels::EvictionEngine> make_eviction_engine(kernels::Backend backend) {
  require_available(backend);
  switch (backend) {
    case kernels::Backend::kCpu:
      return kernels::make_cpu_eviction_engine();
    case kernels::Backend::kSimt:
      return kernels::make_simt_eviction_engine();
    case kernels::Backend::kCuda:
      break;
  }
  return make_cuda_eviction_engine();
}

std::unique_ptr<kernels::RetrievalEngine> make_retrieval_engine(kernels::Backend backend) {
  require_available(backend);
  switch (backend) {
    case kernels::Backend::kCpu:
      return kernels::make_cpu_retrieval_engine();
    case kernels::Backend::kSimt:
      return kernels::make_simt_retrieval_engine();
    case kernels::Backend::kCuda:
      break;
  }
  return make_cuda_retrieval_engine();
}

}  // namespace kvsieve::sim
