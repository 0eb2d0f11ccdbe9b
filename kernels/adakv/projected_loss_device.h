#pragma once
// From the differences of eviction_loss to L1 losses behind the output projection (Ada-KV section
// 3.1: || y - y^ ||_1), on the device.

#include <cstddef>
#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Work of projected_loss: the output and S selections' differences of R queries of Hq heads, each
/// through d x D; losses of U units and the layer.
[[nodiscard]] constexpr Work projected_loss_work(std::int64_t q_heads, std::int64_t units,
                                                 std::int64_t selections, std::int64_t queries,
                                                 std::int64_t d, std::int64_t width,
                                                 std::int64_t element_bytes) {
  const std::int64_t rows = (selections + 1) * q_heads * queries;
  return {q_heads * d * width * element_bytes + rows * d * 4,
          (selections * (units + 1) + 1) * queries * 4, 2 * rows * d * width};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// One layer. Pointers are device memory, aligned to 16 bytes, dense in the shape given.
struct ProjectedLossArgs {
  std::int64_t q_heads = 0;     ///< Hq
  std::int64_t units = 0;       ///< U divides Hq; unit u is query heads u Hq / U and on
  std::int64_t selections = 0;  ///< S, may be 0
  std::int64_t queries = 0;     ///< R
  std::int64_t head_dim = 0;    ///< d
  std::int64_t width = 0;       ///< D, any; a multiple of 8 is read 16 bytes at a time
  traces::DType projection_dtype{};
  const void* projections = nullptr;  ///< [Hq, d, D] W_O, projection_dtype
  const float* output = nullptr;      ///< [Hq, R, d] o
  const float* difference = nullptr;  ///< [S, Hq, R, d] o - o^
  void* workspace = nullptr;          ///< projected_loss_workspace_bytes

  float* unit_loss = nullptr;    ///< [S, U, R] || sum over the unit's heads of (o - o^) W ||_1
  float* layer_loss = nullptr;   ///< [S, R] the same over all heads: || y - y^ ||_1
  float* output_norm = nullptr;  ///< [R] || y ||_1
};

/// Bytes of device memory that projected_loss needs besides its results.
[[nodiscard]] std::size_t projected_loss_workspace_bytes(const ProjectedLossArgs& args);

/// Blocks and threads of the projection.
[[nodiscard]] LaunchConfig projected_loss_config(const ProjectedLossArgs& args);
/// Blocks and threads of the sum over column tiles.
[[nodiscard]] LaunchConfig projected_loss_sum_config(const ProjectedLossArgs& args);

/// Enqueues the losses of a layer. Heads are added in ascending order, a unit's first, then the
/// units; fp32, the same bits on every run. A unit whose differences are 0 loses exactly 0.
/// Throws Error(kUsage) for a head size or dtype without a kernel, Error(kInternal) for shapes that
/// contradict each other.
void projected_loss(const ProjectedLossArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
