#pragma once
// Reading Chrome's trace event format, which Perfetto, PyTorch and `kvsieve cost --timeline` write.

#include "core/timeline_events.h"

namespace kvsieve::gui {

/// Reads complete events (X) and pairs of begin and end (B, E), the names of processes and threads
/// (M), and of arguments step, layer, micro_batch, bytes, pieces, alone_us and critical. Counters
/// are ignored; all other entries are counted as skipped, and so is an end without a begin. A begin
/// without an end lasts until the last event. Threads called as the model's lanes (gpu, to-gpu,
/// to-host, cpu) are those lanes. Either form of the format: an object with traceEvents, or an
/// array, which may lack its closing bracket. The file is streamed; memory grows with the events
/// alone. Throws Error(kBadInput), one line that begins with the path and says at which byte, for a
/// file that is malformed, truncated, or has no events.
[[nodiscard]] TimelineParts read_chrome_events(const QString& path, const JobControl& control);

}  // namespace kvsieve::gui
