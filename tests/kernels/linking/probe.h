#pragma once
// A selection by each backend's kernels, of which token_selection has templates and plain ones.

#include <cstdint>
#include <vector>

namespace kvsieve::kernels {
namespace simt_ {
[[nodiscard]] std::vector<std::int32_t> select_on_device(const std::vector<float>& scores,
                                                         std::int32_t count);
}
namespace cuda_ {
[[nodiscard]] std::vector<std::int32_t> select_on_device(const std::vector<float>& scores,
                                                         std::int32_t count);
}
}  // namespace kvsieve::kernels
