#pragma once
// The options behind a retrieval run, read back from its document.

#include "core/run.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::gui {

/// Options with which sim::replay_retrieval gives the run's figures again on the run's trace. A
/// given codebook is opened at the path that the run names, from the working folder or else from
/// the folder of the run's file. For worker threads.
/// Throws Error(kUsage) if the run is no retrieval run; Error(kBadInput), one line that names the
/// field, if the method is damaged or its codebook is not there or is another one by now.
[[nodiscard]] sim::RetrievalOptions retrieval_options(const Run& run);

}  // namespace kvsieve::gui
