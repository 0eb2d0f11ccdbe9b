#pragma once
// What a profile says in numbers: by operation, by lane, and beside the model. Schema
// kvsieve.profile/1 (docs/profiling.md).

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/profile/measured_timeline.h"
#include "kvsieve/profile/operation_pairing.h"
#include "kvsieve/profile/recording.h"

namespace kvsieve::profile {

/// All operations of one name on one lane.
struct OperationSummary {
  std::string name;
  sim::Lane lane = sim::Lane::kGpu;
  std::int64_t operations = 0;
  std::int64_t activities = 0;
  double us = 0.0;  ///< sum of the times in which they were busy
  double median_us = 0.0;
  double longest_us = 0.0;
  std::int64_t bytes = 0;
  std::int64_t pieces = 0;
  double call_us = 0.0;  ///< the host spent enqueueing them, sum
};

/// In the order of lanes, then by time, longest first.
[[nodiscard]] std::vector<OperationSummary> summarise(const MeasuredTimeline& timeline);

/// Everything that was measured, set beside the model where a pairing is given.
/// @param hardware id of the profile that the pairing was modelled on
[[nodiscard]] nlohmann::ordered_json profile_document(const ActivityRecording& recording,
                                                      const MeasuredTimeline& timeline,
                                                      const std::optional<Pairing>& pairing,
                                                      const std::string& hardware);

}  // namespace kvsieve::profile
