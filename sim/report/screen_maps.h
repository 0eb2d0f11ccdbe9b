#pragma once
// Heat maps in a few terminal columns.

#include <optional>
#include <string>
#include <vector>

#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/run_view.h"
#include "screen_lines.h"

namespace kvsieve::sim {

struct ScreenMap {
  std::string title;
  HeatMap map;
  std::optional<double> equal;  ///< marked in the legend
};

/// Budgets of eviction runs and recalls of retrieval runs, where heads differ.
[[nodiscard]] std::vector<ScreenMap> screen_maps(const std::vector<RunView>& runs);

/// Adds maps beside and below each other, as long as there is room.
void add_maps(Screen& screen, const std::vector<ScreenMap>& maps);

}  // namespace kvsieve::sim
