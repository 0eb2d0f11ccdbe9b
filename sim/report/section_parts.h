#pragma once
// What the sections of a report on runs have in common: their set-up, words and shared figures.

#include <optional>
#include <string>
#include <vector>

#include "kvsieve/sim/run_view.h"
#include "report_model.h"

namespace kvsieve::sim {

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
