#pragma once
// What timelines say: of an event, of a pixel, of a range of time, as a table and as CSV.

#include <QString>
#include <cstddef>
#include <optional>

#include "core/intervals.h"
#include "core/level_of_detail.h"
#include "kvsieve/sim/chart_table.h"

namespace kvsieve::gui {

/// Several lines: what it is, its times, what it moved, and of which step and layer it is.
[[nodiscard]] QString event_text(const TimelineEvents& events, std::size_t index);

/// What the pixel at `x` of the mapping shows of a row, or of exposed transfers where `row` is
/// nothing; several events are told together. Empty where nothing is within two pixels.
[[nodiscard]] QString pixel_text(const TimelineDetail& timeline, std::optional<std::size_t> row,
                                 const TimeMapping& shown, double x);

/// "40.00 µs · 977 KiB moved, GPU busy 50.0%, ...": duration, then bytes and busy shares of each
/// timeline.
[[nodiscard]] QString range_text(const Timelines& timelines, const Stretch& range);

/// What happens between two times by timeline, lane and name.
[[nodiscard]] sim::Table timeline_table(const Timelines& timelines, const Stretch& range);
/// The same in plain numbers (RFC 4180).
[[nodiscard]] QString timeline_csv(const Timelines& timelines, const Stretch& range);

}  // namespace kvsieve::gui
