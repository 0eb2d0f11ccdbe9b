#pragma once
// The dynamic shared memory of the kernels, which their compiled form does not tell.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace kvsieve::kernels::cuda_ {

/// (kernel with its template arguments, bytes a block) of every kernel with dynamic shared memory,
/// as the launchers ask for it.
[[nodiscard]] std::vector<std::pair<std::string, std::size_t>> dynamic_shared_of_kernels();

}  // namespace kvsieve::kernels::cuda_
