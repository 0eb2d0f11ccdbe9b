#pragma once
// The kernels of the objects that nvcc compiled and that are linked into this program: their host
// functions, and the programs and resources behind them.

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exec/ptx/cubin_resources.h"
#include "exec/ptx/executor.h"
#include "exec/ptx/fat_binary.h"

namespace kvsieve::ptx {

/// The fat binary of one object. Its images are unpacked when somebody needs them.
class EmbeddedBinary {
 public:
  explicit EmbeddedBinary(std::span<const std::byte> bytes) : m_bytes(bytes) {}

  /// The PTX of an architecture. Throws Error(kMissingCapability) with the architectures that are
  /// there if it is not, Error(kBadInput) for what cannot be read.
  const Program& program(int architecture);
  /// Of every kernel in the machine code of an architecture, by mangled name. Throws as program().
  const std::map<std::string, KernelResources>& resources(int architecture);

 private:
  [[nodiscard]] std::string image(ImageKind kind, int architecture);

  std::span<const std::byte> m_bytes;
  std::map<int, Program> m_programs;
  std::map<int, std::map<std::string, KernelResources>> m_resources;
};

struct RegisteredKernel {
  EmbeddedBinary* binary = nullptr;
  std::string name;  ///< mangled
  /// What the program asked for; without, static and dynamic memory share the 48 KiB that every
  /// kernel may have.
  std::optional<std::size_t> max_dynamic_shared_bytes;
};

/// What registered itself before main(). Not thread-safe.
class KernelRegistry {
 public:
  /// Throws Error(kBadInput) if no fat binary begins at `data`.
  EmbeddedBinary& add_binary(const void* data);
  void add_kernel(EmbeddedBinary& binary, const void* host_function, std::string name);

  /// Throws Error(kInternal) for what is no kernel.
  RegisteredKernel& kernel(const void* host_function);
  /// Mangled names of all kernels, sorted.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Throws Error(kInternal) for an unknown kernel and as EmbeddedBinary::resources() does.
  [[nodiscard]] KernelResources resources(const std::string& name, int architecture);

 private:
  std::vector<std::unique_ptr<EmbeddedBinary>> m_binaries;
  std::unordered_map<const void*, RegisteredKernel> m_kernels;
  std::map<std::string, EmbeddedBinary*> m_binary_of;
};

}  // namespace kvsieve::ptx
