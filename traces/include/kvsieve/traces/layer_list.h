#pragma once
// The value of --layers: which layers of a model to capture or to replay.

#include <cstdint>
#include <string_view>
#include <vector>

namespace kvsieve::traces {

/// Parses "all" or a comma-separated list of layers and inclusive ranges ("0,4,8-11") into
/// ascending layer indices without duplicates. Throws Error(kUsage) naming the part that is
/// malformed or beyond the model's `layers` layers.
[[nodiscard]] std::vector<std::int64_t> parse_layer_list(std::string_view text,
                                                         std::int64_t layers);

}  // namespace kvsieve::traces
