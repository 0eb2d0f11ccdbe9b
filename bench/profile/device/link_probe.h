#pragma once
// Transfers over the host link by size, pieces and path, on the GPU of this machine.

#include <cstdint>
#include <functional>
#include <vector>

#include "exec/device/runtime.h"
#include "kvsieve/sim/link_measurements.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {

/// What is transferred.
struct LinkPlan {
  std::vector<std::int64_t> piece_bytes;   ///< ascending, multiples of 16
  std::int64_t total_bytes = 1 << 26;      ///< of a transfer, as far as most_pieces allows
  std::int64_t most_pieces = 4096;         ///< of a transfer
  std::int64_t largest_row_bytes = 65536;  ///< that kernels read
  int repetitions = 7;                     ///< of which the median counts
  int messages = 101;                      ///< small copies, of which the median counts
};

/// Powers of two from 256 bytes to 16 MiB.
[[nodiscard]] LinkPlan link_plan();

/// Measures, both ways, a copy a piece and one batch of copies; to the GPU also a kernel that reads
/// pieces as rows; a small copy that the host waits for; and large copies both ways at once.
/// Pieces lie apart in pinned memory. Transfers take 0 us on simt, which has no clock. `progress`
/// gets the share that is finished; what it throws ends it. Throws Error(kMissingCapability) if
/// there is no GPU or not enough memory.
[[nodiscard]] sim::LinkMeasurements measure_link(const LinkPlan& plan,
                                                 const std::function<void(double)>& progress);

}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
