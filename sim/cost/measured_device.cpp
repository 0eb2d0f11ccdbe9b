#include "measured_device.h"

#include <algorithm>

#include "kvsieve/sim/measured_rows.h"

namespace kvsieve::sim {

std::optional<HardwareProfile> measured_device(const std::string& gpu, const std::string& as_device,
                                               const std::optional<HardwareProfile>& only) {
  const std::string& name = as_device.empty() ? gpu : as_device;
  if (only) {
    const auto is_name = [&](const std::string& other) { return same_name(other, name); };
    if (is_name(only->id) || is_name(only->name) ||
        std::any_of(only->aliases.begin(), only->aliases.end(), is_name)) {
      return only;
    }
  }
  const std::optional<HardwareProfile> built_in =
      as_device.empty() ? find_hardware(gpu) : std::optional(load_hardware(as_device));
  if (only) {
    return built_in && same_name(built_in->id, only->id) ? only : std::nullopt;
  }
  return built_in;
}

}  // namespace kvsieve::sim
