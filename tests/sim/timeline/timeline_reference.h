#pragma once
// The rules of a timeline, applied slowly: every task is looked at again at every event.

#include "kvsieve/sim/timeline.h"

namespace kvsieve::sim::tests {

/// All but critical_path, which is left empty.
[[nodiscard]] TimelineResult reference_simulate(const Timeline& timeline);

}  // namespace kvsieve::sim::tests
