#pragma once
// What a request costs a GPU: sectors of global memory, wavefronts of shared memory.

#include "exec/ptx/access.h"
#include "exec/ptx/counters.h"

namespace kvsieve::ptx {

void count_global(Counters& counters, const Request& request, bool store, MemoryKind kind);
void count_shared(Counters& counters, const Request& request);

}  // namespace kvsieve::ptx
