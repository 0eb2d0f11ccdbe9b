#pragma once
// What is the same for all blocks of a launch, and what they add up.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "exec/device/launch_config.h"
#include "exec/ptx/counters.h"
#include "exec/ptx/memory_state.h"
#include "exec/ptx/module.h"

namespace kvsieve::ptx {

// What the GPUs that kernels are compiled for can do (compute capability 8.0 to 10.0).
inline constexpr unsigned kMaxBlockThreads = 1024;
inline constexpr unsigned kMaxBlockZ = 64;
inline constexpr unsigned kMaxGridX = 0x7fffffff;
inline constexpr unsigned kMaxGridYZ = 65535;
inline constexpr unsigned kBarriers = 16;

/// Of a block, static and dynamic together, for a kernel that asked for more than every one has.
[[nodiscard]] constexpr std::size_t max_shared_bytes(int architecture) {
  return std::size_t{architecture < 90 ? 163U : 227U} * 1024;
}

/// How often an instruction was issued, and for how many lanes.
struct Issued {
  std::int64_t warps = 0;
  std::int64_t threads = 0;
};

struct Launch {
  const Module* module = nullptr;
  const Function* function = nullptr;
  kernels::LaunchConfig config;
  std::vector<std::byte> parameters;
  std::vector<std::byte> constants;
  Memory::State* memory = nullptr;
  std::uint32_t begin = 0;  ///< logical time
  std::uint64_t seed = 0;
  // By instruction. Of the counters only those that single executions differ in.
  std::vector<Issued> issued;
  std::vector<Counters> counted;
};

/// Throws Error(kInternal) for what no GPU takes.
void check_launch(const Function& function, int architecture, const kernels::LaunchConfig& config);

}  // namespace kvsieve::ptx
