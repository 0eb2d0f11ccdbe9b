#pragma once
// Columns of numbers out of a run: by layer, by step, by head.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/run_view.h"

namespace kvsieve::sim {

[[nodiscard]] std::vector<std::string> layer_names(const RunView& run);
[[nodiscard]] Values layer_values(const RunView& run, std::string_view keys);
/// The mean over a layer's heads of what `value` gives.
[[nodiscard]] Values layer_means(
    const RunView& run, const std::function<std::optional<double>(const Node& head)>& value);

[[nodiscard]] std::vector<double> step_numbers(const RunView& run);
[[nodiscard]] Values step_values(const RunView& run, std::string_view keys);

/// Layers by heads. A head missing in some layer leaves its cell empty.
[[nodiscard]] HeatMap head_map(const RunView& run, std::string_view value_name, Unit unit,
                               const std::function<std::optional<double>(const Node& head)>& value);

/// Layers by query heads, which retrieval runs list inside their KV heads.
[[nodiscard]] HeatMap query_head_map(const RunView& run, std::string_view value_name, Unit unit,
                                     std::string_view key);

/// True if two or more cells differ, so that a drawing says more than a sentence.
[[nodiscard]] bool varies(const HeatMap& map);

}  // namespace kvsieve::sim
