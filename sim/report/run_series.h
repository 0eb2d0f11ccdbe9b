#pragma once
// Columns of numbers out of a run: by layer, by step, by head.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "chart.h"
#include "report_model.h"
#include "run_view.h"

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

/// Wide enough for these many heads or layers?
[[nodiscard]] bool needs_width(const HeatMap& map);
[[nodiscard]] bool needs_width(const RunView& run);

/// "64 decode steps that the method has not seen", and the like.
[[nodiscard]] std::string replayed_on(const RunView& run);

/// "layers 1, 3 and 5"; long lists are shortened.
[[nodiscard]] std::string list_layers(const std::vector<std::int64_t>& layers);

/// Every parameter of the method, then the trace.
[[nodiscard]] std::vector<Fact> set_up(const RunView& run);

/// A part with this origin.
[[nodiscard]] Part make_part(std::string title, const std::string& origin);

// Figures that both families have.

/// Attention mass that a decode step misses: evicted, or not attended to.
[[nodiscard]] std::optional<double> lost_mass(const RunView& run);
/// Tokens that a head keeps of the prompt, or attends to at a step.
[[nodiscard]] std::optional<double> tokens_a_head(const RunView& run);
/// Share of the needle that is kept, or retrieved.
[[nodiscard]] std::optional<double> needle_share(const RunView& run);

/// "x of y" as a share; nothing without y.
[[nodiscard]] std::optional<double> share_of(std::optional<double> part,
                                             std::optional<double> whole);

}  // namespace kvsieve::sim
