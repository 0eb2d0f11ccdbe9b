#pragma once
// Activity records as operations on the lanes of the cost model's timeline: what a decode step's
// stages, or any other named operations, took on the hardware. Everything here is measured.

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/profile/activity_records.h"
#include "kvsieve/sim/timeline.h"

namespace kvsieve::profile {

/// A kernel, copy or fill. Times are us from the first thing that was recorded.
struct MeasuredActivity {
  std::string name;  ///< a kernel's without namespaces and types; copy; fill
  sim::Lane lane = sim::Lane::kGpu;
  double begin_us = 0.0;
  double end_us = 0.0;
  std::uint32_t stream = 0;
  std::int64_t bytes = 0;   ///< that were copied or filled
  std::int64_t pieces = 0;  ///< of a copy
  std::array<std::int32_t, 3> grid{};
  std::array<std::int32_t, 3> block{};
  std::int64_t registers = 0;
  std::int64_t shared_bytes = 0;
  double call_us = 0.0;  ///< the host spent in the call that enqueued it; 0 if there is no record
  double wait_us = 0.0;  ///< from that call's begin to its own
  std::size_t operation = 0;  ///< index into the timeline's operations
};

/// What an outermost NVTX range enqueued: a stage of a decode step or of what comes before the
/// first one, on the lane that it has there, or else what the range put on one lane. Without a
/// range, one activity.
struct MeasuredOperation {
  std::string name;  ///< of the stage, or of the range, or of the activity
  sim::Lane lane = sim::Lane::kGpu;
  std::int32_t step = -1;   ///< of a decode step's stage, else -1
  std::int32_t layer = -1;  ///< of a stage, the model's, else -1
  std::int32_t micro_batch = -1;
  double begin_us = 0.0;
  double end_us = 0.0;
  double busy_us = 0.0;         ///< of that, time in which one of its activities ran
  std::int64_t bytes = 0;       ///< copied over the link
  std::int64_t pieces = 0;      ///< of these copies
  std::int64_t activities = 0;  ///< kernels, copies and fills; 0 of what ran on the host
  double call_us = 0.0;         ///< the host spent enqueueing them
};

enum class HostSpanKind { kRange, kCall, kOverhead };

/// What a thread of the host did.
struct HostSpan {
  HostSpanKind kind = HostSpanKind::kRange;
  std::string name;
  std::size_t thread = 0;  ///< from 0, in the order of appearance
  double begin_us = 0.0;
  double end_us = 0.0;
  bool failed = false;  ///< of a call
};

/// A lane from its first begin to its last end.
struct LaneFigures {
  double busy_us = 0.0;
  double gap_us = 0.0;          ///< nothing ran
  double longest_gap_us = 0.0;  ///< of one gap
  std::int64_t bytes = 0;
  std::int64_t pieces = 0;
};

struct MeasuredTimeline {
  std::string device;  ///< name of the GPU; empty if there is no record of it
  std::vector<MeasuredOperation> operations;  ///< ascending by begin
  std::vector<MeasuredActivity> activities;   ///< ascending by begin
  std::vector<HostSpan> host;                 ///< ascending by begin, longer ones first
  std::size_t threads = 0;
  std::array<LaneFigures, sim::kLanes> lanes{};
  double total_us = 0.0;
  /// The GPU's times were moved so much later, that nothing begins before it was enqueued.
  double clock_shift_us = 0.0;
  std::vector<std::string> notes;  ///< what is missing or was corrected, a line each
};

/// @param layers the model's layers, by the number that stage ranges give them
[[nodiscard]] MeasuredTimeline measured_timeline(const ActivityRecords& records,
                                                 std::span<const std::int64_t> layers);

/// The same form as sim::chrome_trace writes, marked as measured: operations on the model's lanes,
/// with a second thread of the same name for what overlaps; the activities by stream; ranges, calls
/// and overheads by thread of the host.
/// @param title of the process
[[nodiscard]] nlohmann::ordered_json chrome_trace(const MeasuredTimeline& timeline,
                                                  std::string_view title);

/// A kernel's name without return type, namespaces, template and call arguments.
/// @param mangled as nvcc writes it; a text that is no mangled name is taken as it is
[[nodiscard]] std::string short_kernel_name(const std::string& mangled);

}  // namespace kvsieve::profile
