#pragma once
// What a kernel did, counted exactly: the same on every machine and in every run.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace kvsieve::ptx {

/// A place in the source of a kernel.
struct SourceLine {
  std::string file;  ///< as nvcc wrote it; empty without line information
  int line = 0;

  auto operator<=>(const SourceLine&) const = default;
};

/// Counted events. A request is one memory instruction of one warp; a sector has 32 bytes.
struct Counters {
  // Instructions of a warp by class, each of which is in one class; an instruction whose guard
  // holds for no lane counts. `thread_instructions` sums the lanes whose guard holds.
  std::int64_t instructions = 0;
  std::int64_t thread_instructions = 0;
  std::int64_t integer_instructions = 0;  ///< logic, moves, choices and addresses included
  std::int64_t float_instructions = 0;    ///< fp32 and fp64; conversions are not among them
  std::int64_t half_instructions = 0;     ///< fp16 and bf16
  std::int64_t convert_instructions = 0;
  std::int64_t tensor_instructions = 0;   ///< mma
  std::int64_t warp_instructions = 0;     ///< shuffles, votes, matches, warp reductions
  std::int64_t control_instructions = 0;  ///< branches, barriers, fences, waits for copies
  std::int64_t memory_instructions = 0;   ///< loads of parameters included
  std::int64_t special_instructions = 0;  ///< ex2, lg2, rsqrt, rcp, sqrt, sin, cos, tanh

  /// Of active lanes: one for add, sub, mul and div, two for an FMA, of pairs of halves twice that;
  /// an mma counts 2 x 16 x 8 x 16.
  std::int64_t flops = 0;

  // Global memory, loads and stores of pinned memory included, and what cp.async loads; atomics and
  // constant memory are not.
  std::int64_t global_load_requests = 0;
  std::int64_t global_load_sectors = 0;  ///< that the requests touch
  std::int64_t global_load_bytes =
      0;  ///< that lanes asked for, each distinct byte of a request once
  std::int64_t global_store_requests = 0;
  std::int64_t global_store_sectors = 0;
  std::int64_t global_store_bytes = 0;
  /// Sectors beyond the fewest that could hold the bytes asked for, summed over requests.
  std::int64_t global_excess_sectors = 0;
  std::int64_t pinned_load_bytes = 0;  ///< of these, over the bus
  std::int64_t pinned_store_bytes = 0;

  // Shared memory: 32 banks of 4 bytes; accesses to one word of a bank are one. Loads, stores,
  // atomics, ldmatrix, and what cp.async stores. Requests of 8 and 16 bytes a lane are served by
  // halves and quarters of the warp.
  std::int64_t shared_requests = 0;
  std::int64_t shared_wavefronts = 0;
  std::int64_t shared_bank_conflicts = 0;  ///< wavefronts beyond the fewest for the request's width

  std::int64_t local_requests = 0;  ///< loads and stores of local memory
  std::int64_t global_atomics = 0;  ///< of active lanes
  std::int64_t shared_atomics = 0;
  std::int64_t branches = 0;
  std::int64_t divergent_branches = 0;  ///< branches that part the active lanes
  std::int64_t barriers = 0;            ///< of a warp
  std::int64_t async_copies = 0;        ///< cp.async requests

  Counters& operator+=(const Counters& other);
  bool operator==(const Counters&) const = default;
};

/// Names of all fields in snake_case and their values, in the order above.
/// @param visit called as visit(std::string_view name, std::int64_t value)
template <class Visit>
void for_each_counter(const Counters& counters, const Visit& visit) {
  visit(std::string_view("instructions"), counters.instructions);
  visit(std::string_view("thread_instructions"), counters.thread_instructions);
  visit(std::string_view("integer_instructions"), counters.integer_instructions);
  visit(std::string_view("float_instructions"), counters.float_instructions);
  visit(std::string_view("half_instructions"), counters.half_instructions);
  visit(std::string_view("convert_instructions"), counters.convert_instructions);
  visit(std::string_view("tensor_instructions"), counters.tensor_instructions);
  visit(std::string_view("warp_instructions"), counters.warp_instructions);
  visit(std::string_view("control_instructions"), counters.control_instructions);
  visit(std::string_view("memory_instructions"), counters.memory_instructions);
  visit(std::string_view("special_instructions"), counters.special_instructions);
  visit(std::string_view("flops"), counters.flops);
  visit(std::string_view("global_load_requests"), counters.global_load_requests);
  visit(std::string_view("global_load_sectors"), counters.global_load_sectors);
  visit(std::string_view("global_load_bytes"), counters.global_load_bytes);
  visit(std::string_view("global_store_requests"), counters.global_store_requests);
  visit(std::string_view("global_store_sectors"), counters.global_store_sectors);
  visit(std::string_view("global_store_bytes"), counters.global_store_bytes);
  visit(std::string_view("global_excess_sectors"), counters.global_excess_sectors);
  visit(std::string_view("pinned_load_bytes"), counters.pinned_load_bytes);
  visit(std::string_view("pinned_store_bytes"), counters.pinned_store_bytes);
  visit(std::string_view("shared_requests"), counters.shared_requests);
  visit(std::string_view("shared_wavefronts"), counters.shared_wavefronts);
  visit(std::string_view("shared_bank_conflicts"), counters.shared_bank_conflicts);
  visit(std::string_view("local_requests"), counters.local_requests);
  visit(std::string_view("global_atomics"), counters.global_atomics);
  visit(std::string_view("shared_atomics"), counters.shared_atomics);
  visit(std::string_view("branches"), counters.branches);
  visit(std::string_view("divergent_branches"), counters.divergent_branches);
  visit(std::string_view("barriers"), counters.barriers);
  visit(std::string_view("async_copies"), counters.async_copies);
}

/// Of one kernel, summed over its launches.
struct KernelCounters {
  std::int64_t launches = 0;
  std::int64_t blocks = 0;
  std::int64_t threads = 0;
  Counters total;
  /// Of the instructions that nvcc ascribes to a line: the innermost of code that is inlined, but
  /// for the toolkit's own headers, which count where they are used.
  std::map<SourceLine, Counters> lines;
};

}  // namespace kvsieve::ptx
