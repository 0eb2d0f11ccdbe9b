#include "hardware/profile_parts.h"
#include "hardware/sourced_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr SourcedField<CpuSpec> kNumbers[] = {
    {"cores", &CpuSpec::cores, NumberRange::kPositive},
    {"fp32_gflops", &CpuSpec::fp32_gflops, NumberRange::kPositive},
    {"dram_gbps", &CpuSpec::dram_gbps, NumberRange::kPositive},
    {"dram_efficiency", &CpuSpec::dram_efficiency, NumberRange::kShare},
    {"gather_efficiency", &CpuSpec::gather_efficiency, NumberRange::kShare},
    {"memory_bytes", &CpuSpec::memory_bytes, NumberRange::kPositive},
    {"fork_us", &CpuSpec::fork_us, NumberRange::kNonNegative},
};

}  // namespace

CpuSpec cpu_from_json(const ordered_json& json, const std::string& path) {
  const traces::JsonFields fields(json, path);
  fields.allow_only(known_keys<CpuSpec>({"id", "name", "isa"}, kNumbers));
  CpuSpec cpu;
  cpu.id = text_from_json(fields, "id");
  cpu.name = fields.string_or("name", cpu.id);
  cpu.isa = text_from_json(fields, "isa");
  read_sourced<CpuSpec>(fields, kNumbers, cpu);
  return cpu;
}

ordered_json to_json(const CpuSpec& cpu) {
  ordered_json json = {{"id", cpu.id}, {"name", cpu.name}, {"isa", cpu.isa}};
  write_sourced<CpuSpec>(cpu, kNumbers, json);
  return json;
}

}  // namespace kvsieve::sim
