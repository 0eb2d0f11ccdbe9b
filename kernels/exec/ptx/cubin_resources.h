#pragma once
// What a kernel takes of a multiprocessor, read from the machine code that ptxas made of it.

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace kvsieve::ptx {

/// Static resources of a kernel, as `cuobjdump -res-usage` prints them.
struct KernelResources {
  int registers = 0;  ///< of a thread
  /// A thread's local memory: spilled registers and arrays that have an address.
  std::size_t stack_bytes = 0;
  std::size_t static_shared_bytes = 0;  ///< without the 1 KiB that sm_90 and later reserve
  std::size_t constant_bytes = 0;       ///< of bank 0: parameters and what the driver puts there
  int max_threads = 1024;               ///< of a block, by the kernel's launch bounds

  bool operator==(const KernelResources&) const = default;
};

/// Every kernel of an ELF file of machine code, by mangled name.
/// Throws Error(kBadInput) with what is damaged.
/// @param architecture 80 for sm_80
[[nodiscard]] std::map<std::string, KernelResources> read_cubin_resources(std::string_view elf,
                                                                          int architecture);

}  // namespace kvsieve::ptx
