#pragma once
// The one meeting point of a warp's lanes, on which shuffles, votes, reductions and the tensor-core
// primitive are built.

#include <array>
#include <source_location>

#include "exec/simt/block.h"
#include "exec/simt/limits.h"

namespace kvsieve::simt {

/// Waits until every lane in `mask` has come here with the same operation and mask. The last one
/// calls `combine(payloads, mask)` once for all: payloads[lane] is what that lane brought, null for
/// lanes not in the mask; it reads and writes them freely. `combine` captures nothing.
/// `name` is CUDA's name of the operation, for messages; the same name means the same operation.
template <class Payload, class Combine>
inline void warp_exchange(const char* name, unsigned mask, Payload* payload, Combine,
                          const std::source_location& where) {
  const WarpOperation operation{name, [](void* const* payloads, unsigned lanes) {
                                  std::array<Payload*, kLanes> typed;
                                  for (unsigned lane = 0; lane < kLanes; ++lane) {
                                    typed[lane] = static_cast<Payload*>(payloads[lane]);
                                  }
                                  Combine{}(typed, lanes);
                                }};
  this_block().warp_exchange(operation, mask, payload, where);
}

}  // namespace kvsieve::simt
