#pragma once
// Where the operations run.

#include <array>
#include <string_view>

namespace kvsieve::kernels {

enum class Backend {
  kCpu,   ///< the fast host versions
  kSimt,  ///< the CUDA kernels' source on the host SIMT executor
  kCuda,  ///< the same source compiled by nvcc, on a GPU
};

inline constexpr std::array<Backend, 3> kBackends{Backend::kCpu, Backend::kSimt, Backend::kCuda};

/// "cpu", "simt" or "cuda".
[[nodiscard]] std::string_view name_of(Backend backend) noexcept;

/// The inverse of name_of. Throws Error(kUsage) listing the supported names.
[[nodiscard]] Backend backend_from_name(std::string_view name);

}  // namespace kvsieve::kernels
