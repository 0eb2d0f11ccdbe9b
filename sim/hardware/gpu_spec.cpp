#include "hardware/profile_parts.h"
#include "hardware/sourced_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr SourcedField<GpuSpec> kNumbers[] = {
    {"sms", &GpuSpec::sms, NumberRange::kPositive},
    {"memory_bytes", &GpuSpec::memory_bytes, NumberRange::kPositive},
    {"memory_gbps", &GpuSpec::memory_gbps, NumberRange::kPositive},
    {"bf16_tflops", &GpuSpec::bf16_tflops, NumberRange::kPositive},
    {"fp32_tflops", &GpuSpec::fp32_tflops, NumberRange::kPositive},
    {"l2_bytes", &GpuSpec::l2_bytes, NumberRange::kPositive},
    {"power_w", &GpuSpec::power_w, NumberRange::kPositive},
};

}  // namespace

GpuSpec gpu_from_json(const ordered_json& json, const std::string& path) {
  const traces::JsonFields fields(json, path);
  fields.allow_only(known_keys<GpuSpec>({}, kNumbers));
  GpuSpec gpu;
  read_sourced<GpuSpec>(fields, kNumbers, gpu);
  return gpu;
}

ordered_json to_json(const GpuSpec& gpu) {
  ordered_json json = ordered_json::object();
  write_sourced<GpuSpec>(gpu, kNumbers, json);
  return json;
}

}  // namespace kvsieve::sim
