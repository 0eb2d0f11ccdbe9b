#include "kvsieve/bench/noise.h"

#include <fmt/format.h>

namespace kvsieve::bench {
namespace {

constexpr double kMostLoad = 0.25;  ///< of the processors
constexpr double kMostVariation = 0.05;

}  // namespace

std::vector<std::string> noise_before(const RunConditions& conditions) {
  std::vector<std::string> lines;
  if (conditions.load > kMostLoad * conditions.machine.cpus) {
    lines.push_back(fmt::format("the load average is {:.2f} on {} processors: others compute, too",
                                conditions.load, conditions.machine.cpus));
  }
  if (conditions.machine.governor && *conditions.machine.governor != "performance") {
    lines.push_back(fmt::format("the frequency governor is '{}', not 'performance': clocks move",
                                *conditions.machine.governor));
  }
  if (conditions.usable_cpus < conditions.threads) {
    lines.push_back(
        fmt::format("{} threads share {} processors", conditions.threads, conditions.usable_cpus));
  }
  if (conditions.debug_build) {
    lines.emplace_back("this is a debug build: its times say little about a release");
  }
  return lines;
}

std::vector<std::string> noise_within(const std::vector<BenchEntry>& entries) {
  std::vector<std::string> lines;
  for (const BenchEntry& entry : entries) {
    if (entry.aggregate == "cv" && entry.real_time_us > kMostVariation) {
      lines.push_back(fmt::format("{}: its repetitions vary by {:.1f} %", entry.case_name,
                                  100.0 * entry.real_time_us));
    }
  }
  return lines;
}

}  // namespace kvsieve::bench
