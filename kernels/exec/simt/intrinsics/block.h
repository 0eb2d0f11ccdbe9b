#pragma once
// Barriers of a block, and fences.

#include <atomic>
#include <source_location>

#include "exec/simt/block.h"
#include "exec/simt/sync_deletion.h"

namespace kvsieve::simt::cuda {

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  if (!is_deleted(where)) {
    this_block().barrier(BarrierVote::kNone, 0, where);
  }
}
inline int __syncthreads_count(int predicate,
                               std::source_location where = std::source_location::current()) {
  return this_block().barrier(BarrierVote::kCount, predicate, where);
}
inline int __syncthreads_and(int predicate,
                             std::source_location where = std::source_location::current()) {
  return this_block().barrier(BarrierVote::kAnd, predicate, where);
}
inline int __syncthreads_or(int predicate,
                            std::source_location where = std::source_location::current()) {
  return this_block().barrier(BarrierVote::kOr, predicate, where);
}

/// Orders the thread's accesses for other threads of the device. ThreadSanitizer knows no fences,
/// so there a fence orders through the atomics before and after it, as CUDA's fence pattern does.
inline void __threadfence() {
  Thread& self = this_thread();
  self.fenced = true;
  if (self.last_atomic != nullptr) {
    acquire(self.last_atomic);
  }
#ifndef KVSIEVE_SIMT_TSAN
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}
inline void __threadfence_block() {
  __threadfence();
}
inline void __threadfence_system() {
  __threadfence();
}

}  // namespace kvsieve::simt::cuda
