#pragma once
// Finding the trace that a run was made of.

#include <QString>
#include <QStringList>
#include <optional>

#include "core/jobs.h"
#include "core/run.h"

namespace kvsieve::gui {

/// Files that may be the run's trace: the path that its document names (also as seen from the run's
/// folder), its name beside the run, then every other *.kvtrace there. Those that exist, each once.
[[nodiscard]] QStringList trace_candidates(const Run& run);

/// The first candidate whose content has the hash that the run names. Reads files in full: for
/// worker threads.
[[nodiscard]] std::optional<QString> find_trace(const Run& run, const JobControl& control);

}  // namespace kvsieve::gui
