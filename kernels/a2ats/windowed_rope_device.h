#pragma once
// The kernels of windowed_rope.h.

#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/windowed_rope.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// Work of windowed_scores for R rows that see `pairs` tokens together.
[[nodiscard]] constexpr Work windowed_scores_work(std::int64_t rows, std::int64_t pairs) {
  return {(rows + pairs) * 4, pairs * 4, 0};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Query rows and the one phase that rotates all of them: that of the constant distance b (A2ATS
/// eq. 12), or of the query's own position. All pointers are device memory.
struct RotateRowsArgs {
  const float* rows = nullptr;  ///< [R, d] before RoPE
  std::int64_t row_count = 0;   ///< R
  std::int64_t head_dim = 0;    ///< d
  const float* cos = nullptr;   ///< [rope_dim / 2], attention factor included
  const float* sin = nullptr;   ///< [rope_dim / 2]
  std::int64_t rope_dim = 0;    ///< even, <= d; dimensions behind it pass through
  traces::RopePairing pairing = traces::RopePairing::kHalf;
  float* out = nullptr;  ///< [R, d]; may be `rows`
};

/// A thread a pair and row.
[[nodiscard]] LaunchConfig rotate_rows_config(const RotateRowsArgs& args);
/// rotate_to_distance on the device, bit for bit where the host does not fuse multiply and add.
/// Throws Error(kUsage) for a rope_dim that is odd or beyond d.
void rotate_rows(const RotateRowsArgs& args, Stream& stream);

/// windowed_scores on the device. All pointers are device memory.
struct WindowedScoresArgs {
  const float* near = nullptr;              ///< [R, n] of rotated queries and keys
  const float* far = nullptr;               ///< [R, n] of q R_b and keys before RoPE
  const std::int32_t* positions = nullptr;  ///< [R]
  std::int64_t rows = 0;                    ///< R
  std::int64_t tokens = 0;                  ///< n
  std::int64_t stride = 0;                  ///< elements from a row to the next, >= n
  std::int64_t window = 0;                  ///< w
  float* out = nullptr;                     ///< [R, n], same stride; may be `near` or `far`
};

[[nodiscard]] LaunchConfig windowed_scores_config(const WindowedScoresArgs& args);
/// u_ij by true distance within the window and by the constant one beyond, for j <= i; columns
/// beyond i are left alone (A2ATS eq. 11). The class follows the query of the call.
void windowed_scores(const WindowedScoresArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
