#pragma once
// The parts of a hardware profile as JSON. `path` begins the errors of reading, which are
// Error(kBadInput) and name the field.

#include <nlohmann/json.hpp>
#include <string>

#include "kvsieve/sim/hardware_profile.h"

namespace kvsieve::sim {

[[nodiscard]] GpuSpec gpu_from_json(const nlohmann::ordered_json& json, const std::string& path);
[[nodiscard]] nlohmann::ordered_json to_json(const GpuSpec& gpu);

[[nodiscard]] Architecture architecture_from_json(const nlohmann::ordered_json& json,
                                                  const std::string& path);
[[nodiscard]] nlohmann::ordered_json to_json(const Architecture& architecture);

[[nodiscard]] LinkSpec link_from_json(const nlohmann::ordered_json& json, const std::string& path);
[[nodiscard]] nlohmann::ordered_json to_json(const LinkSpec& link);

[[nodiscard]] CpuSpec cpu_from_json(const nlohmann::ordered_json& json, const std::string& path);
[[nodiscard]] nlohmann::ordered_json to_json(const CpuSpec& cpu);

}  // namespace kvsieve::sim
