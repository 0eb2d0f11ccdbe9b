#pragma once
// From a run-time dtype to the element type that a kernel is compiled for.

#include "exec/device/device.cuh"
#include "exec/device/dispatch.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Calls body.template operator()<T>() with T = float, __half or __nv_bfloat16.
/// Throws Error(kUsage) naming operation and dtype for any other.
template <class Body>
void dispatch_dtype(std::string_view operation, traces::DType dtype, const Body& body) {
  switch (dtype) {
    case traces::DType::kF32:
      return body.template operator()<float>();
    case traces::DType::kF16:
      return body.template operator()<__half>();
    case traces::DType::kBF16:
      return body.template operator()<__nv_bfloat16>();
    case traces::DType::kI32:
      break;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: dtype {} has no kernel, supported: F16, BF16, F32", operation,
                          traces::name_of(dtype)));
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
