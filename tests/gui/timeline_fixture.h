#pragma once
// A timeline small enough to know by heart, for tests of the viewer.

#include "core/level_of_detail.h"

namespace kvsieve::gui::tests {

[[nodiscard]] TimelineEvent timeline_event(std::int32_t lane, std::int32_t name, double begin_us,
                                           double end_us, std::int32_t step, std::int32_t layer);

/// Two steps of 100 us on the model's four lanes. In each the GPU does "qkv" (layer 0) from 0 to 40
/// and "mlp" (layer 4) from 60 to 100; to the GPU "fetch" goes from 20 to 60 (1,000,000 bytes in
/// 250 pieces, alone 32 us, micro-batch 1), to the host "down" from 5 to 10; the CPU does "append"
/// from 10 to 15. Critical is what the GPU and "fetch" do.
[[nodiscard]] TimelineParts small_timeline(const QString& origin = QStringLiteral("modelled"));

[[nodiscard]] std::shared_ptr<const TimelineDetail> timeline_detail(TimelineParts parts);

}  // namespace kvsieve::gui::tests
