#pragma once
// What a request costs a GPU: sectors of global memory, wavefronts of shared memory.

#include <array>

#include "exec/ptx/access.h"
#include "exec/ptx/counters.h"

namespace kvsieve::ptx {

/// `pinned`: lanes whose memory is pinned.
void count_global(Counters& counters, const Request& request, bool store, LaneMask pinned);
/// A load of the first `sizes` bytes of each lane's part of the request, which lie in one sector.
void count_short_load(Counters& counters, const Request& request,
                      const std::array<std::uint8_t, kLanes>& sizes, LaneMask pinned);
void count_shared(Counters& counters, const Request& request);

}  // namespace kvsieve::ptx
