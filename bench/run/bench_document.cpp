#include "kvsieve/bench/bench_document.h"

#include <benchmark/benchmark.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/version.h"

namespace kvsieve::bench {
namespace {

using nlohmann::ordered_json;

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S%z}", fmt::localtime(now));
}

ordered_json machine_json(const BenchContext& context) {
  const Machine& machine = context.machine;
  ordered_json caches = ordered_json::array();
  for (const MachineCache& cache : machine.caches) {
    caches.push_back({{"level", cache.level},
                      {"type", cache.type},
                      {"bytes", cache.bytes},
                      {"shared_by", cache.shared_by}});
  }
  ordered_json json{{"cpu", machine.cpu},
                    {"cpus", machine.cpus},
                    {"usable_cpus", context.cpus},
                    {"virtual", machine.is_virtual},
                    {"memory_bytes", machine.memory_bytes},
                    {"caches", std::move(caches)}};
  if (machine.governor) {
    json["governor"] = *machine.governor;
  }
  if (machine.turbo) {
    json["turbo"] = *machine.turbo;
  }
  return json;
}

ordered_json kvsieve_json(const BenchContext& context) {
  ordered_json rooflines = ordered_json::array();
  for (const auto& [threads, limits] : context.rooflines) {
    rooflines.push_back({{"threads", threads},
                         {"read_bytes_per_second", limits.read_bytes_per_second},
                         {"flops_per_second", limits.flops_per_second}});
  }
  return {{"schema", "kvsieve.bench/1"},
          {"kind", "timings"},
          {"tool_version", sim::version()},
          {"backend", context.backend},
          {"machine", machine_json(context)},
          {"isa", kernels::instruction_set()},
          {"compiler", KVSIEVE_COMPILER},
          {"build_type", KVSIEVE_BUILD_TYPE},
          {"flags", KVSIEVE_FLAGS},
          {"load", {{"before", context.load_before}, {"after", context.load_after}}},
          {"options",
           {{"filter", context.filter},
            {"repetitions", context.options.repetitions},
            {"min_time_s", context.options.min_time_s},
            {"pin", context.pin},
            {"interleave", context.options.interleave}}},
          {"rooflines", std::move(rooflines)},
          {"noise", context.noise}};
}

ordered_json context_json(const BenchContext& context) {
  const benchmark::CPUInfo& cpu = benchmark::CPUInfo::Get();
  ordered_json caches = ordered_json::array();
  for (const benchmark::CPUInfo::CacheInfo& cache : cpu.caches) {
    caches.push_back({{"type", cache.type},
                      {"level", cache.level},
                      {"size", cache.size},
                      {"num_sharing", cache.num_sharing}});
  }
  ordered_json json{{"date", local_time()},
                    {"host_name", benchmark::SystemInfo::Get().name},
                    {"executable", context.program},
                    {"num_cpus", cpu.num_cpus},
                    {"mhz_per_cpu", std::lround(cpu.cycles_per_second * 1e-6)}};
  if (cpu.scaling != benchmark::CPUInfo::UNKNOWN) {
    json["cpu_scaling_enabled"] = cpu.scaling == benchmark::CPUInfo::ENABLED;
  }
  json["caches"] = std::move(caches);
  json["load_avg"] = context.load_before;
  json["library_build_type"] = is_debug_build() ? "debug" : "release";
  json["kvsieve"] = kvsieve_json(context);
  return json;
}

std::string name_of(const BenchEntry& entry) {
  return entry.case_name + (entry.aggregate.empty() ? "" : "_" + entry.aggregate);
}

ordered_json entry_json(const BenchEntry& entry) {
  ordered_json json{{"name", name_of(entry)},
                    {"family_index", entry.family},
                    {"per_family_instance_index", 0},
                    {"run_name", entry.case_name},
                    {"run_type", entry.aggregate.empty() ? "iteration" : "aggregate"},
                    {"repetitions", entry.repetitions}};
  if (entry.aggregate.empty()) {
    json["repetition_index"] = entry.repetition;
  }
  json["threads"] = entry.threads;
  if (!entry.aggregate.empty()) {
    json["aggregate_name"] = entry.aggregate;
    json["aggregate_unit"] = entry.is_share ? "percentage" : "time";
  }
  json["iterations"] = entry.iterations;
  json["real_time"] = entry.real_time_us;
  json["cpu_time"] = entry.cpu_time_us;
  json["time_unit"] = "us";
  for (const auto& [name, value] : entry.counters) {
    json[name] = value;
  }
  return json;
}

}  // namespace

bool is_debug_build() noexcept {
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

ordered_json bench_document(const BenchContext& context, const std::vector<BenchEntry>& entries) {
  ordered_json benchmarks = ordered_json::array();
  for (const BenchEntry& entry : entries) {
    benchmarks.push_back(entry_json(entry));
  }
  return {{"context", context_json(context)}, {"benchmarks", std::move(benchmarks)}};
}

}  // namespace kvsieve::bench
