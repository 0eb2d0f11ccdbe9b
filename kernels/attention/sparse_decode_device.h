#pragma once
// The kernels of sparse_decode.h.

#include <cstddef>
#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Bytes of device memory that sparse_decode needs at `workspace`.
[[nodiscard]] std::size_t sparse_decode_workspace_bytes(const SparseDecodeArgs& args);

/// sparse_decode on the device; counts and rows are read there.
/// @param args queries aligned to 16 bytes
/// @param workspace aligned to 256 bytes
/// Throws Error(kUsage) for a d, G or dtype without a kernel.
void sparse_decode(const SparseDecodeArgs& args, void* workspace, Stream& stream);

/// Rows and log-sum-exps in device memory.
struct MergePartialArgs {
  float* out = nullptr;                   ///< [n, d]
  float* log_sums = nullptr;              ///< [n]
  const float* other = nullptr;           ///< [n, d]
  const float* other_log_sums = nullptr;  ///< [n]
  std::int64_t n = 0;
  std::int64_t head_dim = 0;  ///< d
};
[[nodiscard]] LaunchConfig merge_partial_config(const MergePartialArgs& args);
/// merge_partial on the device.
void merge_partial(const MergePartialArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
