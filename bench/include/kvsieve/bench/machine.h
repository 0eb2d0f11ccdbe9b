#pragma once
// The machine that benchmarks run on, as Linux describes it.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::bench {

/// A cache of the first processor.
struct MachineCache {
  int level = 0;
  std::string type;  ///< "Data", "Instruction" or "Unified"
  std::int64_t bytes = 0;
  int shared_by = 1;  ///< processors

  bool operator==(const MachineCache&) const = default;
};

/// What the files under /proc and /sys say; absent or 0 where they say nothing, as in most virtual
/// machines.
struct Machine {
  std::string cpu;  ///< model name
  int cpus = 0;     ///< online
  bool is_virtual = false;
  std::vector<MachineCache> caches;
  std::optional<std::string> governor;  ///< of the first processor's frequency
  std::optional<bool> turbo;
  std::int64_t memory_bytes = 0;
};

/// @param root the folder that holds proc and sys
[[nodiscard]] Machine read_machine(const std::filesystem::path& root = "/");

/// The load averages over 1, 5 and 15 minutes; zeros where there are none.
[[nodiscard]] std::array<double, 3> read_load(const std::filesystem::path& root = "/");

/// The numbers of a list such as "0-3,8", ascending and each once.
/// Throws Error(kUsage) for any other text.
[[nodiscard]] std::vector<int> parse_cpus(std::string_view text);

/// Processors that this process may run on, ascending.
[[nodiscard]] std::vector<int> usable_cpus();

/// Keeps this process, and all threads that it starts from now on, to these processors.
/// Throws Error(kUsage) naming one that is not usable.
void pin_to_cpus(const std::vector<int>& cpus);

}  // namespace kvsieve::bench
