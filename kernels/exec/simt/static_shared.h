#pragma once
// Static __shared__ arrays are thread_local variables (include/cuda_runtime.h).

#include <cstddef>
#include <span>

namespace kvsieve::simt {

/// The calling thread's thread_local variables of the module that holds the executor and the
/// kernels, or nothing where they cannot be told from others'.
[[nodiscard]] std::span<std::byte> thread_locals_of_this_module();

}  // namespace kvsieve::simt
