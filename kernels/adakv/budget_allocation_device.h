#pragma once
// allocate_budgets on a device.

#include <cstddef>
#include <cstdint>

#include "adakv/radix_select_shape.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/budget_allocation.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// More heads share no layer.
inline constexpr std::int64_t kAllocationMaxHeads = 1024;
/// Threads of the block that narrows a layer's threshold.
inline constexpr int kNarrowThreads = 512;

/// Layers of scores and where their budgets go; all pointers are device memory.
struct BudgetAllocationArgs {
  const float* scores = nullptr;  ///< [batch, heads, m] finite, higher is more important
  std::int64_t batch = 1;         ///< layers (or sequences) that each share out heads * b tokens
  std::int64_t heads = 0;         ///< 1 to kAllocationMaxHeads
  std::int64_t m = 0;
  std::int64_t stride = 0;  ///< elements from a head's scores to the next head's, >= m
  std::int64_t b = 0;       ///< tokens a head outside the protected ones, >= 0
  AllocationOptions options;
  std::int32_t* budgets = nullptr;  ///< [batch, heads], out
  /// Out: row * m + token of the first score that is not finite, row = batch item * heads + head;
  /// -1 if all are. The budgets mean nothing then.
  std::int64_t* first_not_finite = nullptr;
  void* workspace = nullptr;  ///< budget_allocation_workspace_bytes(), aligned to 16 bytes
  /// Tokens that a block reads, a positive multiple of 4.
  std::int64_t chunk_tokens = kSelectChunkTokens;
};

/// Bytes of workspace for batch * heads rows.
[[nodiscard]] std::size_t budget_allocation_workspace_bytes(const BudgetAllocationArgs& args);

/// A block for each chunk of each row.
[[nodiscard]] LaunchConfig count_layer_digits_config(const BudgetAllocationArgs& args);
/// A block a layer.
[[nodiscard]] LaunchConfig narrow_layer_config(const BudgetAllocationArgs& args);

/// Budgets as allocate_budgets() gives them, bit for bit, for each batch item. Deterministic.
/// Reads the scores once a pass, three times (budget_allocation_work); once if b is 0 or >= m.
/// Throws Error(kUsage) for shapes outside the limits and if alpha > 1.
void budget_allocation(const BudgetAllocationArgs& args, Stream& stream);

/// Waits for the stream and throws the Error(kBadInput) of allocate_budgets() if a score was not
/// finite.
void require_finite_scores(const BudgetAllocationArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
