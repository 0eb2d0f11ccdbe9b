#include "hardware/profile_parts.h"
#include "hardware/sourced_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr SourcedField<Architecture> kNumbers[] = {
    {"attention_floor_us", &Architecture::attention_floor_us, NumberRange::kNonNegative},
    {"attention_split_us", &Architecture::attention_split_us, NumberRange::kNonNegative},
    {"attention_unit_us", &Architecture::attention_unit_us, NumberRange::kNonNegative},
    {"attention_cold_us", &Architecture::attention_cold_us, NumberRange::kNonNegative},
    {"attention_efficiency", &Architecture::attention_efficiency, NumberRange::kShare},
    {"attention_l2_factor", &Architecture::attention_l2_factor, NumberRange::kPositive},
    {"attention_l2_knee", &Architecture::attention_l2_knee, NumberRange::kShare},
    {"attention_8bit_unit", &Architecture::attention_8bit_unit, NumberRange::kPositive},
    {"attention_8bit_slowdown", &Architecture::attention_8bit_slowdown, NumberRange::kPositive},
    {"attention_flops", &Architecture::attention_flops, NumberRange::kShare},
    {"gemm_floor_us", &Architecture::gemm_floor_us, NumberRange::kNonNegative},
    {"gemm_bandwidth", &Architecture::gemm_bandwidth, NumberRange::kShare},
    {"gemm_flops", &Architecture::gemm_flops, NumberRange::kShare},
    {"kernel_floor_us", &Architecture::kernel_floor_us, NumberRange::kNonNegative},
    {"kernel_bandwidth", &Architecture::kernel_bandwidth, NumberRange::kShare},
};

}  // namespace

Architecture architecture_from_json(const ordered_json& json, const std::string& path) {
  const traces::JsonFields fields(json, path);
  fields.allow_only(known_keys<Architecture>({"id"}, kNumbers));
  Architecture architecture;
  architecture.id = text_from_json(fields, "id");
  read_sourced<Architecture>(fields, kNumbers, architecture);
  return architecture;
}

ordered_json to_json(const Architecture& architecture) {
  ordered_json json = {{"id", architecture.id}};
  write_sourced<Architecture>(architecture, kNumbers, json);
  return json;
}

}  // namespace kvsieve::sim
