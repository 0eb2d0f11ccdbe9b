#pragma once
// What a decode step packs for the host and takes back from it, in the cache's dtype.

#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Work of pack_step_message: fp32 rows in, message and resident rows out.
[[nodiscard]] constexpr Work pack_step_message_work(std::int64_t q_heads, std::int64_t kv_heads,
                                                    std::int64_t d, std::int64_t element_bytes) {
  return {(q_heads + 2 * kv_heads) * d * 4, (q_heads + 4 * kv_heads) * d * element_bytes, 0};
}

/// Work of unpack_rows for n numbers.
[[nodiscard]] constexpr Work unpack_rows_work(std::int64_t n, std::int64_t element_bytes) {
  return {n * element_bytes, n * 4, 0};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// All pointers are device memory.
struct PackStepMessageArgs {
  const float* queries = nullptr;  ///< [Hq, d]; null leaves them out of the message
  const float* keys = nullptr;     ///< [Hkv, d] of the new token, as the cache stores them
  const float* values = nullptr;   ///< [Hkv, d]
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  traces::DType dtype = traces::DType::kF16;  ///< of the message and the resident rows
  void* message = nullptr;                    ///< [Hq, d] if there are queries, then [Hkv, 2, d]
  void* resident = nullptr;                   ///< [Hkv, resident_rows, 2, d]
  std::int64_t resident_rows = 0;
  std::int64_t new_row = 0;     ///< resident row that the new token takes
  std::int64_t moved_row = -1;  ///< where what was in it goes, or -1
};

[[nodiscard]] LaunchConfig pack_step_message_config(const PackStepMessageArgs& args);
/// Rounds the new token's rows to the cache's dtype, into the message and into its place among the
/// resident rows.
void pack_step_message(const PackStepMessageArgs& args, Stream& stream);

/// Converts n numbers of `dtype` to fp32.
struct UnpackRowsArgs {
  const void* rows = nullptr;  ///< [n]
  traces::DType dtype = traces::DType::kF16;
  std::int64_t n = 0;
  float* out = nullptr;  ///< [n]
};

[[nodiscard]] LaunchConfig unpack_rows_config(const UnpackRowsArgs& args);
void unpack_rows(const UnpackRowsArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
