#pragma once
// Runs PTX that a test gives as text.

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exec/ptx/executor.h"

namespace kvsieve::ptx {

/// Values in the stand-in device's memory.
template <class T>
class Buffer {
 public:
  Buffer(Memory& memory, std::size_t size, MemoryKind kind = MemoryKind::kDevice)
      : m_memory(memory), m_size(size) {
    m_data = static_cast<T*>(memory.allocate(size * sizeof(T), kind));
  }
  Buffer(Memory& memory, const std::vector<T>& values, MemoryKind kind = MemoryKind::kDevice)
      : Buffer(memory, values.size(), kind) {
    std::memcpy(m_data, values.data(), values.size() * sizeof(T));
    memory.mark_written(m_data, values.size() * sizeof(T));
  }
  ~Buffer() { m_memory.free(m_data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] T* data() const { return m_data; }
  [[nodiscard]] std::vector<T> values() const {
    m_memory.check_read(m_data, m_size * sizeof(T));
    return {m_data, m_data + m_size};
  }

 private:
  Memory& m_memory;
  T* m_data = nullptr;
  std::size_t m_size;
};

/// A module whose only kernel `k` takes as many .u64 parameters as `names` has, which the body
/// finds in registers %NAME. The body declares other registers.
inline std::string one_kernel(const std::vector<std::string>& names, std::string_view body) {
  std::string parameters;
  std::string loads;
  for (const std::string& name : names) {
    parameters += fmt::format("{}.param .u64 p_{}", parameters.empty() ? "" : ", ", name);
    loads += fmt::format("  .reg .b64 %{0};\n  ld.param.u64 %{0}, [p_{0}];\n", name);
  }
  return fmt::format(
      ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k({})\n{{\n{}{}\n}}\n",
      parameters, loads, body);
}

/// Launches a kernel with parameters of any trivial types.
template <class... Args>
KernelCounters run(const Program& program, std::string_view kernel,
                   const kernels::LaunchConfig& config, Memory& memory, std::uint64_t seed,
                   const Args&... args) {
  const std::vector<const void*> parameters = {static_cast<const void*>(&args)...};
  KernelCounters counters;
  execute(program, kernel, config, parameters, memory, {seed}, counters);
  return counters;
}

}  // namespace kvsieve::ptx
