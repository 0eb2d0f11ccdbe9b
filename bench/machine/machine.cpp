#include "kvsieve/bench/machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "kvsieve/traces/error.h"

namespace kvsieve::bench {
namespace {

namespace fs = std::filesystem;

/// The first line of a file, or nothing.
std::optional<std::string> line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) {
    return std::nullopt;
  }
  return line;
}

/// What follows "key" and a colon in a file of such lines.
std::optional<std::string> field_of(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (line.starts_with(key) && colon != std::string::npos) {
      const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
      return begin == std::string::npos ? std::string{} : line.substr(begin);
    }
  }
  return std::nullopt;
}

/// The number at the beginning of a text.
std::optional<std::int64_t> leading_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && number >= 0 ? std::optional(number) : std::nullopt;
}

/// How many processors a list of the kernel names; 0 if it is none.
int count_of(const std::optional<std::string>& list) {
  try {
    return list ? static_cast<int>(parse_cpus(*list).size()) : 0;
  } catch (const Error&) {
    return 0;
  }
}

std::vector<MachineCache> read_caches(const fs::path& folder) {
  std::vector<MachineCache> caches;
  for (int index = 0;; ++index) {
    const fs::path one = folder / fmt::format("index{}", index);
    const std::optional<std::string> level = line_of(one / "level");
    const std::optional<std::string> size = line_of(one / "size");
    if (!level || !size) {
      return caches;
    }
    const std::int64_t unit = size->ends_with('M') ? 1 << 20 : size->ends_with('K') ? 1 << 10 : 1;
    caches.push_back({static_cast<int>(leading_number(*level).value_or(0)),
                      line_of(one / "type").value_or(""), leading_number(*size).value_or(0) * unit,
                      std::max(1, count_of(line_of(one / "shared_cpu_list")))});
  }
}

std::optional<bool> read_turbo(const fs::path& cpu) {
  if (const std::optional<std::string> off = line_of(cpu / "intel_pstate/no_turbo")) {
    return *off == "0";
  }
  if (const std::optional<std::string> on = line_of(cpu / "cpufreq/boost")) {
    return *on == "1";
  }
  return std::nullopt;
}

}  // namespace

Machine read_machine(const fs::path& root) {
  const fs::path cpu = root / "sys/devices/system/cpu";
  Machine machine;
  machine.cpu = field_of(root / "proc/cpuinfo", "model name").value_or("");
  machine.cpus = count_of(line_of(cpu / "online"));
  machine.is_virtual =
      (" " + field_of(root / "proc/cpuinfo", "flags").value_or("") + " ").find(" hypervisor ") !=
      std::string::npos;
  machine.caches = read_caches(cpu / "cpu0/cache");
  machine.governor = line_of(cpu / "cpu0/cpufreq/scaling_governor");
  machine.turbo = read_turbo(cpu);
  const std::optional<std::string> memory = field_of(root / "proc/meminfo", "MemTotal");
  machine.memory_bytes = memory ? leading_number(*memory).value_or(0) * 1024 : 0;
  return machine;
}

std::array<double, 3> read_load(const fs::path& root) {
  std::array<double, 3> load{};
  std::istringstream text(line_of(root / "proc/loadavg").value_or(""));
  text.imbue(std::locale::classic());
  text >> load[0] >> load[1] >> load[2];
  return load;
}

std::vector<int> parse_cpus(std::string_view text) {
  constexpr std::int64_t kMostCpus = CPU_SETSIZE;
  const auto fail = [text] {
    throw Error(ErrorKind::kUsage,
                fmt::format("'{}' is no list of processors, expected e.g. 0 or 0-3,8", text));
  };
  std::vector<int> cpus;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, comma - begin);
    const std::size_t dash = std::min(part.find('-'), part.size());
    const auto whole = [&](std::string_view digits) {
      const std::optional<std::int64_t> number = leading_number(digits);
      if (!number || *number >= kMostCpus ||
          digits.find_first_not_of("0123456789") != std::string_view::npos) {
        fail();
      }
      return static_cast<int>(*number);
    };
    const int first = whole(part.substr(0, dash));
    const int last = dash < part.size() ? whole(part.substr(dash + 1)) : first;
    if (last < first) {
      fail();
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      cpus.push_back(cpu);
    }
    begin = comma + 1;
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) {
        cpus.push_back(cpu);
      }
    }
  }
  return cpus;
}

void pin_to_cpus(const std::vector<int>& cpus) {
  const std::vector<int> usable = usable_cpus();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (!std::binary_search(usable.begin(), usable.end(), cpu)) {
      throw Error(ErrorKind::kUsage, fmt::format("processor {} cannot be pinned to", cpu),
                  fmt::format("usable: {}", fmt::join(usable, ", ")));
    }
    CPU_SET(static_cast<std::size_t>(cpu), &set);
  }
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) {
    throw Error(ErrorKind::kInternal, "sched_setaffinity refused to pin this process");
  }
}

}  // namespace kvsieve::bench
