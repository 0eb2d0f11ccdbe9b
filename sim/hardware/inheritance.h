#pragma once
// Data files that say only what differs from a built-in one.

#include <nlohmann/json.hpp>
#include <string>

#include "hardware/built_in_data.h"

namespace kvsieve::sim {

/// `base` with what `patch` says put over it, key by key at every depth. A number with its source
/// (an object with a "value") is replaced whole, so that no source stays behind with another's
/// number; so are arrays.
[[nodiscard]] nlohmann::ordered_json merged(nlohmann::ordered_json base,
                                            const nlohmann::ordered_json& patch);

/// `json` without its "base": put over that built-in document, whose identity (id, name, aliases,
/// source, verified) is not inherited. As it is where it has no base. `path` begins errors.
[[nodiscard]] nlohmann::ordered_json with_base(const nlohmann::ordered_json& json,
                                               DataFolder folder, const std::string& path);

}  // namespace kvsieve::sim
