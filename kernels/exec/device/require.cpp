#include "exec/device/require.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

void require_supported(bool supported, std::string_view operation, std::string_view what,
                       std::int64_t value, std::string_view range) {
  if (!supported) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} {} has no kernel, supported: {}", operation,
                                               what, value, range));
  }
}

}  // namespace kvsieve::kernels
