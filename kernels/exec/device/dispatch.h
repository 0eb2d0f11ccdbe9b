#pragma once
// From run-time dtypes and head sizes to the kernels' template arguments. What is not there is
// named together with what is. Messages are joined by hand, because nvcc cannot compile fmt.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "kvsieve/kernels/device_support.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

/// Throws Error(kUsage) "operation: what has no kernel, supported: list".
[[noreturn]] inline void throw_unsupported(std::string_view operation, std::string_view what,
                                           std::string_view supported) {
  std::string text(operation);
  text.append(": ").append(what).append(" has no kernel, supported: ").append(supported);
  throw Error(ErrorKind::kUsage, text);
}

/// Calls body.template operator()<D>() with D == head_dim.
/// Throws Error(kUsage) naming operation, value and the supported head sizes.
template <class Body>
void dispatch_head_dim(std::string_view operation, std::int64_t head_dim, const Body& body) {
  const bool found = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return ((head_dim == kDeviceHeadDims[I] &&
             (body.template operator()<static_cast<int>(kDeviceHeadDims[I])>(), true)) ||
            ...);
  }(std::make_index_sequence<kDeviceHeadDims.size()>());
  if (!found) {
    std::string supported;
    for (const std::int64_t size : kDeviceHeadDims) {
      supported += (supported.empty() ? "" : ", ") + std::to_string(size);
    }
    throw_unsupported(operation, "head size " + std::to_string(head_dim), supported);
  }
}

/// Throws Error(kUsage) naming operation, value and the supported groups unless there is a kernel.
inline void require_group(std::string_view operation, std::int64_t group) {
  if (group < 1 || group > kDeviceMaxGroup) {
    throw_unsupported(operation, "a group of " + std::to_string(group) + " query heads",
                      "1 to " + std::to_string(kDeviceMaxGroup));
  }
}

}  // namespace kvsieve::kernels
