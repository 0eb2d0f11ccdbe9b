#pragma once
// Runs kernels of a PTX program on the host, counts what they do and checks how they do it.
//
// Blocks run one after the other. A warp runs until its lanes wait or have exited; within it the
// lanes with the lowest program counter go first and meet again where their ways join. Warps and
// blocks take turns in ascending order, or in one drawn from a seed. What a missing synchronisation
// breaks is found by the order that threads are bound to, not by the one that they happen to run
// in.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exec/device/launch_config.h"
#include "exec/ptx/counters.h"
#include "exec/ptx/memory.h"

namespace kvsieve::ptx {

struct Module;

/// A parsed PTX module.
class Program {
 public:
  /// Throws Error(kBadInput) with the line of the PTX text and its source for what it cannot read:
  /// an unknown instruction is an error when the program is loaded, not when it runs.
  explicit Program(std::string_view ptx);
  ~Program();
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;

  /// Mangled names, in the order of the text.
  [[nodiscard]] std::vector<std::string> kernels() const;
  /// Sizes of the kernel's parameters in bytes. Throws Error(kInternal) for an unknown kernel.
  [[nodiscard]] std::vector<std::size_t> parameter_bytes(std::string_view kernel) const;
  /// As the kernel declares it. Throws Error(kInternal) for an unknown kernel.
  [[nodiscard]] std::size_t static_shared_bytes(std::string_view kernel) const;
  /// Where the kernel begins in its source; absent in a program without line information.
  [[nodiscard]] SourceLine first_line(std::string_view kernel) const;
  /// 80, 90 or 100: the `.target`.
  [[nodiscard]] int architecture() const;

  [[nodiscard]] const Module& module() const { return *m_module; }

 private:
  std::unique_ptr<Module> m_module;
};

struct ExecuteOptions {
  std::uint64_t seed = 0;  ///< of the order of blocks and warps; 0: ascending
};

/// Runs a kernel to its end.
/// @param parameters the values, one pointer a parameter, as cudaLaunchKernel takes them
/// @param counters what ran is added to it
/// Throws Error(kInternal) in one line with kernel, block, thread, PTX line and source line for:
/// accesses out of bounds, misaligned or to freed memory, reads of memory that nobody wrote, races
/// between threads that no barrier, warp synchronisation or atomic orders, barriers and warp
/// operations that not all named lanes reach, reads of cp.async data before its wait, and a
/// configuration that no GPU takes.
void execute(const Program& program, std::string_view kernel, const kernels::LaunchConfig& config,
             std::span<const void* const> parameters, Memory& memory, const ExecuteOptions& options,
             KernelCounters& counters);

}  // namespace kvsieve::ptx
