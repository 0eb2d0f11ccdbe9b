#pragma once
// A schedule over a GPU, its two copy engines, the host's cores and the host's memory: discrete
// events in which tasks on different lanes run side by side and slow each other down where they
// share a link or a memory.

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::sim {

/// What a task occupies alone: a lane runs one task at a time. Tasks of one lane and micro-batch
/// run in the order given, as on a stream; among several micro-batches' ready tasks the one issued
/// first runs first.
enum class Lane { kGpu, kToHost, kToGpu, kCpu };
inline constexpr std::size_t kLanes = 4;
/// gpu, to-host, to-gpu, cpu.
[[nodiscard]] std::string_view name_of(Lane lane) noexcept;

/// What tasks of different lanes share.
enum class SharedResource {
  kSms,         ///< copy kernels and zero-copy reads take SMs from computing
  kLink,        ///< both directions together
  kHostMemory,  ///< DRAM of the host
};
inline constexpr std::size_t kSharedResources = 3;
/// sms, link, host-memory.
[[nodiscard]] std::string_view name_of(SharedResource resource) noexcept;

/// A task as it would run alone.
struct TimelineTask {
  std::int32_t name = 0;  ///< index into Timeline::names
  Lane lane = Lane::kGpu;
  double us = 0.0;  ///< alone; a task of 0 us begins and ends at once
  /// Share of each shared resource that it uses while it runs alone, 0 to 1.
  std::array<double, kSharedResources> uses{};
  std::int32_t step = 0;         ///< from 0
  std::int32_t layer = -1;       ///< -1: of no layer
  std::int32_t micro_batch = 0;  ///< from 0
  std::int64_t bytes = 0;        ///< moved over the link
  std::int64_t pieces = 0;       ///< of that transfer
  std::int32_t after_begin = 0;  ///< tasks that it waits for: after[after_begin, after_end)
  std::int32_t after_end = 0;
};

/// Tasks in the order in which they are issued; each waits for earlier ones only.
struct Timeline {
  std::vector<std::string> names;
  std::vector<TimelineTask> tasks;
  std::vector<std::int32_t> after;
};

/// When a task ran. end - begin >= us, up to rounding.
struct TimelineSpan {
  double begin_us = 0.0;
  double end_us = 0.0;
};

/// What came of it.
struct TimelineResult {
  std::vector<TimelineSpan> spans;  ///< [tasks]
  double total_us = 0.0;
  std::array<double, kLanes> busy_us{};  ///< a lane's tasks ran for so long
  /// Mean use of each shared resource over the whole time, 0 to 1: a task slowed to the rate r
  /// takes r times its share.
  std::array<double, kSharedResources> utilisation{};
  /// Time in which a copy engine is busy, or a GPU task runs that uses the link, and neither
  /// another task of the GPU lane nor one of the CPU lane runs: what a faster link would save.
  double exposed_transfer_us = 0.0;
  /// Tasks without slack, first to last: each begins exactly when the one before ends, which it
  /// waits for or which ran before it on its lane. The first begins at 0, the last ends at
  /// total_us. Where several tasks end then, the one that ran longest, of these the one issued
  /// first.
  std::vector<std::int32_t> critical_path;
};

/// Runs the timeline. Between two events each running task advances at the rate that the most
/// contended of its shared resources leaves it: where the uses of a resource sum to s > 1, each of
/// them runs at 1 / s. At one instant tasks end before others begin, and those begin in the order
/// of issue. Never longer than the sum of all times, nor shorter than a lane's. Deterministic; time
/// O(n log n) for n tasks.
/// Throws Error(kInternal) naming the task if it waits for itself or a later one, if its time is
/// negative or not finite, if a use is not within 0 to 1, or if its name, step, micro-batch or list
/// of dependencies is out of range.
[[nodiscard]] TimelineResult simulate(const Timeline& timeline);

/// Steps of a timeline, from step 0 to the last one: the time from the end of the step before to
/// its own last end, 0 where that comes no later or the step has no task. They sum to total_us.
[[nodiscard]] std::vector<double> step_times_us(const Timeline& timeline,
                                                const TimelineResult& result);

/// Chrome's trace event format, which Perfetto opens too: a thread a lane, a slice a task with
/// step, layer (of a layer's task), micro-batch, bytes and pieces (of a transfer), its time alone
/// and whether it is critical as arguments, the category `critical` or `other`, and a counter of
/// bytes in flight a direction (a GPU task's bytes count as on their way to the GPU). Times in us
/// from the begin of the timeline.
/// @param title of the process @param first_step, last_step (excluded) of the steps to write
[[nodiscard]] nlohmann::ordered_json chrome_trace(const Timeline& timeline,
                                                  const TimelineResult& result,
                                                  std::string_view title, std::int32_t first_step,
                                                  std::int32_t last_step);

}  // namespace kvsieve::sim
