#pragma once
// Mangled names of kernels as people write them.

#include <string>

namespace kvsieve::ptx {

/// Demangled, without namespaces and parameters: "append_code_kernel<__half, 64>". A name that is
/// not mangled stays as it is.
[[nodiscard]] std::string display_name(const std::string& mangled);

}  // namespace kvsieve::ptx
