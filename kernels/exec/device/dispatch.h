#pragma once
// Checking a launcher's arguments, and from run-time head sizes to the kernels' template arguments.
// What is not there is named together with what is.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "kvsieve/kernels/device_support.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

/// Calls body.template operator()<D>() with D == head_dim.
/// Throws Error(kUsage) naming operation, value and the supported head sizes.
template <class Body>
void dispatch_head_dim(std::string_view operation, std::int64_t head_dim, const Body& body) {
  const bool found = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return ((head_dim == kDeviceHeadDims[I] &&
             (body.template operator()<static_cast<int>(kDeviceHeadDims[I])>(), true)) ||
            ...);
  }
  (std::make_index_sequence<kDeviceHeadDims.size()>());
  if (!found) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: head size {} has no kernel, supported: {}", operation, head_dim,
                            fmt::join(kDeviceHeadDims, ", ")));
  }
}

/// Throws Error(kUsage) "operation: what value has no kernel, supported: range" unless supported.
inline void require_supported(bool supported, std::string_view operation, std::string_view what,
                              std::int64_t value, std::string_view range) {
  if (!supported) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} {} has no kernel, supported: {}", operation,
                                               what, value, range));
  }
}

/// Throws Error(kInternal) "operation: broken" unless the arguments keep the launcher's contract.
inline void require_contract(bool kept, std::string_view operation, std::string_view broken) {
  if (!kept) {
    throw Error(ErrorKind::kInternal, fmt::format("{}: {}", operation, broken));
  }
}

/// Throws Error(kUsage) naming operation, value and the supported groups unless there is a kernel.
inline void require_group(std::string_view operation, std::int64_t group) {
  if (group < 1 || group > kDeviceMaxGroup) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: {} query heads a KV head have no kernel, supported: 1 to {}",
                            operation, group, kDeviceMaxGroup));
  }
}

}  // namespace kvsieve::kernels
