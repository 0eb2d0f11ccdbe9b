#pragma once
// The orders in which a program of nvcc's objects runs its tests. The same objects are linked with
// gpu_environment.cpp and with ptx_environment.cpp, which define these.

#include <cstdint>
#include <vector>

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Seeds of the PTX executor's orders, 0 for the ascending one; on a GPU one that means nothing.
[[nodiscard]] std::vector<std::uint64_t> tested_seeds();
/// The order of everything that is launched from now on.
void set_seed(std::uint64_t seed);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
