#pragma once
// Which hardware profile the rows of a measured file belong to.

#include <optional>
#include <string>

#include "kvsieve/sim/hardware_profile.h"

namespace kvsieve::sim {

/// The profile of rows that name this GPU (`as_device`, unless empty, says what it is instead):
/// `only` if they are of its device, or a built-in one where there is no `only`. Nothing for rows
/// of another or an unknown device. Letter case, spaces, hyphens and underscores do not matter.
/// Throws Error(kUsage) for an unknown `as_device`.
[[nodiscard]] std::optional<HardwareProfile> measured_device(
    const std::string& gpu, const std::string& as_device,
    const std::optional<HardwareProfile>& only);

}  // namespace kvsieve::sim
