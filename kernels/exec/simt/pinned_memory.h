#pragma once
// Pinned host memory as kernels see it: every access over the bus is checked and counted.

#include <cstddef>
#include <source_location>

#include "exec/device/bus_counter.h"

namespace kvsieve::simt {

/// Kernels may access [memory, memory + bytes) over the bus until it is forgotten. Both wait until
/// no kernel runs.
void register_pinned(const void* memory, std::size_t bytes);
void forget_pinned(const void* memory);
/// Whether the bytes lie within one registered range.
[[nodiscard]] bool is_pinned(const void* address, std::size_t bytes);

/// For the running thread, before a load or store: stops the launch unless the address is aligned
/// to `bytes` and the bytes are pinned, and counts them otherwise.
void pass_host_read(const void* address, std::size_t bytes, const std::source_location& where);
void pass_host_write(const void* address, std::size_t bytes, const std::source_location& where);

/// What passed.
[[nodiscard]] const kernels::BusCounter& host_reads();
[[nodiscard]] const kernels::BusCounter& host_writes();

}  // namespace kvsieve::simt
