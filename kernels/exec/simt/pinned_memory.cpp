#include "exec/simt/pinned_memory.h"

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "exec/simt/block.h"
#include "exec/simt/queue.h"
#include "exec/simt/sanitizer.h"

namespace kvsieve::simt {
namespace {

/// Bytes by first address. It changes only while no kernel runs, so kernels need no lock.
using Ranges = std::map<const std::byte*, std::size_t, std::less<>>;
Ranges& ranges() {
  static Ranges ranges;
  return ranges;
}

struct Counters {
  kernels::BusCounter reads;
  kernels::BusCounter writes;
};
Counters& counters() {
  static Counters counters;
  return counters;
}

bool is_within_a_range(const void* address, std::size_t bytes) {
  const auto* first = static_cast<const std::byte*>(address);
  const auto after = ranges().upper_bound(first);
  if (after == ranges().begin()) {
    return false;
  }
  const auto& [begin, size] = *std::prev(after);
  const auto offset = static_cast<std::size_t>(first - begin);
  return offset <= size && bytes <= size - offset;
}

/// Why a kernel may not make this access, or nothing.
std::string problem_with(const char* access, const void* address, std::size_t bytes) {
  const Unwatched unwatched;
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) [[unlikely]] {
    return fmt::format("{} of {} bytes over the bus at a misaligned address", access, bytes);
  }
  if (!is_within_a_range(address, bytes)) [[unlikely]] {
    return fmt::format("{} of {} bytes over the bus outside pinned host memory", access, bytes);
  }
  return {};
}

}  // namespace

void register_pinned(const void* memory, std::size_t bytes) {
  while_idle([&] { ranges().emplace(static_cast<const std::byte*>(memory), bytes); });
}

void forget_pinned(const void* memory) {
  while_idle([&] { ranges().erase(static_cast<const std::byte*>(memory)); });
}

bool is_pinned(const void* address, std::size_t bytes) {
  bool result = false;
  while_idle([&] { result = is_within_a_range(address, bytes); });
  return result;
}

void pass_host_read(const void* address, std::size_t bytes, const std::source_location& where) {
  std::string problem = problem_with("read", address, bytes);
  if (!problem.empty()) [[unlikely]] {
    this_block().fail(std::move(problem), where);
  }
  counters().reads.add(bytes);
}

void pass_host_write(const void* address, std::size_t bytes, const std::source_location& where) {
  std::string problem = problem_with("write", address, bytes);
  if (!problem.empty()) [[unlikely]] {
    this_block().fail(std::move(problem), where);
  }
  counters().writes.add(bytes);
}

const kernels::BusCounter& host_reads() {
  return counters().reads;
}
const kernels::BusCounter& host_writes() {
  return counters().writes;
}

}  // namespace kvsieve::simt
