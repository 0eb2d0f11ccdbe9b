#include "measured_device.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "kvsieve/sim/measured_rows.h"

namespace kvsieve::sim {
namespace {

/// "RTX 4090", "rtx_4090" and "RTX4090" are one name.
std::string without_separators(std::string_view name) {
  std::string letters;
  std::copy_if(name.begin(), name.end(), std::back_inserter(letters),
               [](char c) { return c != ' ' && c != '-' && c != '_'; });
  return letters;
}

bool is_of(const HardwareProfile& profile, const std::string& name) {
  const std::string letters = without_separators(name);
  const auto is_name = [&](const std::string& other) {
    return same_name(without_separators(other), letters);
  };
  return is_name(profile.id) || is_name(profile.name) ||
         std::any_of(profile.aliases.begin(), profile.aliases.end(), is_name);
}

std::optional<HardwareProfile> built_in(const std::string& gpu) {
  if (auto exact = find_hardware(gpu)) {
    return exact;
  }
  for (const std::string& id : hardware_ids()) {
    HardwareProfile profile = load_hardware(id);
    if (is_of(profile, gpu)) {
      return profile;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<HardwareProfile> measured_device(const std::string& gpu, const std::string& as_device,
                                               const std::optional<HardwareProfile>& only) {
  const std::string& name = as_device.empty() ? gpu : as_device;
  if (only && is_of(*only, name)) {
    return only;
  }
  const std::optional<HardwareProfile> known =
      as_device.empty() ? built_in(gpu) : std::optional(load_hardware(as_device));
  if (only) {
    return known && same_name(known->id, only->id) ? only : std::nullopt;
  }
  return known;
}

}  // namespace kvsieve::sim
