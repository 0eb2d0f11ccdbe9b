#include "exec/cpu/load_numbers.h"

#include <cstring>

#include "exec/cpu/simd.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

void load_numbers(traces::DType dtype, const std::byte* source, std::int64_t n, float* out) {
  switch (dtype) {
    case traces::DType::kF16:
      simd().half_to_float(source, out, n);
      return;
    case traces::DType::kBF16:
      simd().bfloat_to_float(source, out, n);
      return;
    case traces::DType::kF32:
      std::memcpy(out, source, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case traces::DType::kI32:
      break;
  }
  throw Error(ErrorKind::kInternal, "a head of integers has no values");
}

}  // namespace kvsieve::kernels
