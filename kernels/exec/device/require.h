#pragma once
// Checking a launcher's arguments. Defined apart from the launchers, because nvcc cannot compile
// fmt's format strings.

#include <cstdint>
#include <string_view>

namespace kvsieve::kernels {

/// Throws Error(kUsage) "operation: what value has no kernel, supported: range" unless supported.
void require_supported(bool supported, std::string_view operation, std::string_view what,
                       std::int64_t value, std::string_view range);

}  // namespace kvsieve::kernels
