#pragma once
// The modelled point behind a run's cost, read back from the run's document.

#include <optional>

#include "core/run.h"
#include "kvsieve/sim/cost_report.h"

namespace kvsieve::gui {

/// What was costed when the run was made: the same hardware, model, method, batch, and captured
/// loads, so that sim::cost_timeline() of it is the timeline behind the document's figures, as long
/// as this program's cost model is that of the document's tool_version. Nothing if the run has no
/// cost on hardware (`kvsieve run --no-cost`).
/// Throws Error(kBadInput), one line that names the field, if the cost is damaged or of hardware or
/// of a model that this program does not know.
[[nodiscard]] std::optional<sim::CostRequest> run_cost_request(const Run& run);

/// What the run was costed on, and the model that was costed: parts of run_cost_request that are
/// read at once, however long the run. Nothing and errors as there.
[[nodiscard]] std::optional<sim::HardwareProfile> run_hardware(const Run& run);
[[nodiscard]] std::optional<sim::ModelDimensions> run_model(const Run& run);

/// The captured loads of a run: shares of the context by step and layer, as in
/// sim::captured_loads. Throws Error(kBadInput) as above.
[[nodiscard]] sim::StepLoads run_loads(const Run& run);

}  // namespace kvsieve::gui
