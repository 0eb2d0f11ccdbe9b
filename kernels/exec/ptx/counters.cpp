#include "exec/ptx/counters.h"

namespace kvsieve::ptx {

Counters& Counters::operator+=(const Counters& other) {
  instructions += other.instructions;
  thread_instructions += other.thread_instructions;
  integer_instructions += other.integer_instructions;
  float_instructions += other.float_instructions;
  half_instructions += other.half_instructions;
  convert_instructions += other.convert_instructions;
  tensor_instructions += other.tensor_instructions;
  warp_instructions += other.warp_instructions;
  control_instructions += other.control_instructions;
  memory_instructions += other.memory_instructions;
  special_instructions += other.special_instructions;
  flops += other.flops;
  global_load_requests += other.global_load_requests;
  global_load_sectors += other.global_load_sectors;
  global_load_bytes += other.global_load_bytes;
  global_store_requests += other.global_store_requests;
  global_store_sectors += other.global_store_sectors;
  global_store_bytes += other.global_store_bytes;
  global_excess_sectors += other.global_excess_sectors;
  pinned_load_bytes += other.pinned_load_bytes;
  pinned_store_bytes += other.pinned_store_bytes;
  shared_requests += other.shared_requests;
  shared_wavefronts += other.shared_wavefronts;
  shared_bank_conflicts += other.shared_bank_conflicts;
  local_requests += other.local_requests;
  global_atomics += other.global_atomics;
  shared_atomics += other.shared_atomics;
  branches += other.branches;
  divergent_branches += other.divergent_branches;
  barriers += other.barriers;
  async_copies += other.async_copies;
  return *this;
}

}  // namespace kvsieve::ptx
