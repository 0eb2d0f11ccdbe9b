#pragma once
// What a method keeps in GPU and host memory, item by item, and how many sequences fit. From shapes
// alone.

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvsieve/sim/cost_method.h"
#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/model_dimensions.h"

namespace kvsieve::sim {

/// One item of a ledger: fixed bytes, and bytes a sequence.
struct MemoryItem {
  std::string_view name;
  std::int64_t fixed_bytes = 0;
  std::int64_t sequence_bytes = 0;

  [[nodiscard]] constexpr std::int64_t bytes(std::int64_t batch) const noexcept {
    return fixed_bytes + batch * sequence_bytes;
  }
};

/// The ledgers of both memories. Everything that is allocated is an item.
struct MemoryLedger {
  std::vector<MemoryItem> gpu;
  std::vector<MemoryItem> host;

  [[nodiscard]] std::int64_t gpu_bytes(std::int64_t batch) const noexcept;
  [[nodiscard]] std::int64_t host_bytes(std::int64_t batch) const noexcept;
};

struct CapacityOptions {
  std::int64_t page_tokens = 16;   ///< caches are rounded up to whole pages
  double gpu_share = 0.9;          ///< of GPU memory that an engine uses
  double host_share = 0.9;         ///< of host memory
  std::int64_t element_bytes = 2;  ///< of the KV cache
  std::int64_t new_tokens = 0;     ///< room for tokens that are still to come, a sequence
};

/// K and V of one sequence: `tokens` in every KV head of the global layers, at most the window in
/// the sliding ones, each rounded up to pages.
[[nodiscard]] std::int64_t kv_cache_bytes(const ModelDimensions& model, std::int64_t tokens,
                                          const CapacityOptions& options = {});

/// The ledger of a method at a context. Throws Error(kUsage) for latent attention.
[[nodiscard]] MemoryLedger memory_ledger(const ModelDimensions& model, const CostMethod& method,
                                         std::int64_t context, const CapacityOptions& options = {});

/// No batch is larger than this, whatever fits.
inline constexpr std::int64_t kMostSequences = 4096;

/// The largest batch that fits both memories; 0 if none does.
[[nodiscard]] std::int64_t largest_batch(const MemoryLedger& ledger, const HardwareProfile& profile,
                                         const CapacityOptions& options = {});

}  // namespace kvsieve::sim
