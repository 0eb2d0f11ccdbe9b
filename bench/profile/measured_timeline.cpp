#include "kvsieve/profile/measured_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "activity_layout.h"
#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/kernels/stage_range.h"

namespace kvsieve::profile {
namespace {

static_assert(static_cast<int>(kernels::StepLane::kGpu) == static_cast<int>(sim::Lane::kGpu));
static_assert(static_cast<int>(kernels::StepLane::kToHost) == static_cast<int>(sim::Lane::kToHost));
static_assert(static_cast<int>(kernels::StepLane::kToGpu) == static_cast<int>(sim::Lane::kToGpu));
static_assert(static_cast<int>(kernels::StepLane::kCpu) == static_cast<int>(sim::Lane::kCpu));

constexpr double kUsOfNs = 1e-3;

std::size_t index(sim::Lane lane) {
  return static_cast<std::size_t>(lane);
}

sim::Lane lane_of(CopyWay way) {
  switch (way) {
    case CopyWay::kToGpu:
      return sim::Lane::kToGpu;
    case CopyWay::kToHost:
      return sim::Lane::kToHost;
    case CopyWay::kOnGpu:
    case CopyWay::kOther:
      break;
  }
  return sim::Lane::kGpu;
}

/// Of a stage: the decode step's lanes; all others run on the GPU.
sim::Lane lane_of(std::string_view stage) {
  for (std::size_t s = 0; s < kernels::kStepStages; ++s) {
    const auto known = static_cast<kernels::StepStage>(s);
    if (stage == kernels::name_of(known)) {
      return static_cast<sim::Lane>(kernels::lane_of(known));
    }
  }
  return sim::Lane::kGpu;
}

/// Stretches of time, united where they overlap.
class Stretches {
 public:
  void add(double begin_us, double end_us) { m_stretches.emplace_back(begin_us, end_us); }

  /// Their sum, and calls gap(us) for each stretch between them.
  template <class Gap>
  double united(Gap gap) {
    std::sort(m_stretches.begin(), m_stretches.end());
    double sum_us = 0.0;
    double end_us = m_stretches.empty() ? 0.0 : m_stretches.front().first;
    for (const auto& [begin, end] : m_stretches) {
      if (begin > end_us) {
        gap(begin - end_us);
      }
      sum_us += std::max(0.0, end - std::max(begin, end_us));
      end_us = std::max(end_us, end);
    }
    return sum_us;
  }

 private:
  std::vector<std::pair<double, double>> m_stretches;
};

/// The outermost ranges of each thread, which do not overlap.
class OutermostRanges {
 public:
  explicit OutermostRanges(const std::vector<RangeActivity>& ranges) {
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      m_by_thread[ranges[r].thread].push_back(r);
    }
    for (auto& [thread, list] : m_by_thread) {
      // Of ranges with the same times, those that were closed later hold the others.
      std::sort(list.begin(), list.end(), [&](std::size_t a, std::size_t b) {
        return std::make_tuple(ranges[a].begin_ns, -ranges[a].end_ns, b) <
               std::make_tuple(ranges[b].begin_ns, -ranges[b].end_ns, a);
      });
      std::int64_t end_ns = std::numeric_limits<std::int64_t>::min();
      std::erase_if(list, [&](std::size_t r) {
        const bool inside = ranges[r].begin_ns < end_ns;
        end_ns = std::max(end_ns, ranges[r].end_ns);
        return inside;
      });
    }
    m_ranges = &ranges;
  }

  /// The range of `thread` in which something begins at a time; one that ends then is over.
  [[nodiscard]] std::optional<std::size_t> at(std::uint32_t thread, std::int64_t time_ns) const {
    const auto found = m_by_thread.find(thread);
    if (found == m_by_thread.end()) {
      return std::nullopt;
    }
    const std::vector<std::size_t>& list = found->second;
    const auto after = std::upper_bound(
        list.begin(), list.end(), time_ns,
        [&](std::int64_t time, std::size_t r) { return time < (*m_ranges)[r].begin_ns; });
    if (after == list.begin() || (*m_ranges)[*(after - 1)].end_ns <= time_ns) {
      return std::nullopt;
    }
    return *(after - 1);
  }

  [[nodiscard]] const std::map<std::uint32_t, std::vector<std::size_t>>& by_thread() const {
    return m_by_thread;
  }

 private:
  const std::vector<RangeActivity>* m_ranges = nullptr;
  std::map<std::uint32_t, std::vector<std::size_t>> m_by_thread;
};

class TimelineMaker {
 public:
  TimelineMaker(const ActivityRecords& records, std::span<const std::int64_t> layers)
      : m_records(records), m_layers(layers), m_outermost(records.ranges) {}

  MeasuredTimeline make() {
    find_calls();
    find_clock();
    for (const DeviceActivity& device : m_records.devices) {
      if (m_timeline.device.empty()) {
        m_timeline.device = device.name;
      }
    }
    add_kernels();
    add_copies();
    add_fills();
    add_host_stages();
    add_host_spans();
    finish();
    add_notes();
    return std::move(m_timeline);
  }

 private:
  /// The call that enqueued what has a correlation number: the runtime's, where the driver's
  /// beneath it was recorded, too.
  void find_calls() {
    for (const CallActivity& call : m_records.calls) {
      const auto [at, added] = m_calls.emplace(call.correlation, &call);
      if (!added && std::make_pair(call.begin_ns, -call.end_ns) <
                        std::make_pair(at->second->begin_ns, -at->second->end_ns)) {
        at->second = &call;
      }
    }
  }
  [[nodiscard]] const CallActivity* call_of(std::uint32_t correlation) const {
    const auto found = m_calls.find(correlation);
    return found == m_calls.end() ? nullptr : found->second;
  }

  /// The first time, and how far the GPU's clock is behind the host's at least: nothing can begin
  /// before the call that enqueues it.
  void find_clock() {
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    std::int64_t behind = 0;
    const auto on_gpu = [&](const auto& list) {
      for (const auto& activity : list) {
        if (const CallActivity* call = call_of(activity.correlation)) {
          behind = std::max(behind, call->begin_ns - activity.begin_ns);
        }
      }
    };
    on_gpu(m_records.kernels);
    on_gpu(m_records.copies);
    on_gpu(m_records.fills);
    const auto begins = [&](const auto& list, std::int64_t shift) {
      if (!list.empty()) {
        first = std::min(first, list.front().begin_ns + shift);
      }
    };
    begins(m_records.kernels, behind);
    begins(m_records.copies, behind);
    begins(m_records.fills, behind);
    begins(m_records.calls, 0);
    begins(m_records.ranges, 0);
    begins(m_records.overheads, 0);
    m_first_ns = first;
    m_shift_ns = behind;
    m_timeline.clock_shift_us = static_cast<double>(behind) * kUsOfNs;
  }
  [[nodiscard]] double host_us(std::int64_t time_ns) const {
    return static_cast<double>(time_ns - m_first_ns) * kUsOfNs;
  }
  [[nodiscard]] double gpu_us(std::int64_t time_ns) const { return host_us(time_ns + m_shift_ns); }

  // ---- Operations.

  MeasuredActivity timed(const GpuActivity& activity, sim::Lane lane) {
    MeasuredActivity measured;
    measured.lane = lane;
    measured.begin_us = gpu_us(activity.begin_ns);
    measured.end_us = gpu_us(activity.end_ns);
    measured.stream = activity.stream;
    if (const CallActivity* call = call_of(activity.correlation)) {
      measured.call_us = static_cast<double>(call->end_ns - call->begin_ns) * kUsOfNs;
      measured.wait_us = measured.begin_us - host_us(call->begin_ns);
    }
    return measured;
  }

  void add_kernels() {
    for (const KernelActivity& kernel : m_records.kernels) {
      std::string& name = m_kernel_names[kernel.name];
      if (name.empty()) {
        name = short_kernel_name(kernel.name);
      }
      MeasuredActivity activity = timed(kernel, sim::Lane::kGpu);
      activity.name = name;
      activity.grid = kernel.grid;
      activity.block = kernel.block;
      activity.registers = kernel.registers;
      activity.shared_bytes = kernel.shared_bytes;
      add(std::move(activity), kernel.correlation);
    }
  }

  void add_copies() {
    for (const CopyActivity& copy : m_records.copies) {
      MeasuredActivity activity = timed(copy, lane_of(copy.way));
      activity.name = "copy";
      activity.bytes = copy.bytes;
      activity.pieces = copy.pieces;
      add(std::move(activity), copy.correlation);
    }
  }

  void add_fills() {
    for (const FillActivity& fill : m_records.fills) {
      MeasuredActivity activity = timed(fill, sim::Lane::kGpu);
      activity.name = "fill";
      activity.bytes = fill.bytes;
      add(std::move(activity), fill.correlation);
    }
  }

  void add(MeasuredActivity activity, std::uint32_t correlation) {
    const CallActivity* call = call_of(correlation);
    const auto range =
        call == nullptr ? std::nullopt : m_outermost.at(call->thread, call->begin_ns);
    const sim::Lane way = activity.lane;
    activity.operation = range ? of_range(*range, way) : new_operation(activity.name, way);
    MeasuredOperation& operation = m_timeline.operations[activity.operation];
    activity.lane = operation.lane;
    if (operation.activities == 0 || activity.begin_us < operation.begin_us) {
      operation.begin_us = activity.begin_us;
    }
    operation.end_us = std::max(operation.end_us, activity.end_us);
    ++operation.activities;
    if (way == sim::Lane::kToGpu || way == sim::Lane::kToHost) {
      operation.bytes += activity.bytes;
      operation.pieces += activity.pieces;
    }
    // One call may have enqueued a whole batch.
    if (m_counted_calls.insert({correlation, activity.operation}).second) {
      operation.call_us += activity.call_us;
    }
    m_timeline.activities.push_back(std::move(activity));
  }

  std::size_t new_operation(const std::string& name, sim::Lane lane) {
    MeasuredOperation& operation = m_timeline.operations.emplace_back();
    operation.name = name;
    operation.lane = lane;
    return m_timeline.operations.size() - 1;
  }

  /// The operation of a range on the lane of one of its activities.
  std::size_t of_range(std::size_t range, sim::Lane lane) {
    const std::string& name = m_records.ranges[range].name;
    const auto stage = kernels::parse_stage_range(name);
    if (stage) {
      lane = lane_of(stage->stage);
    }
    const auto [at, added] = m_of_range.emplace(std::make_pair(range, lane), 0);
    if (added) {
      at->second = new_operation(name, lane);
      if (stage) {
        describe(*stage, m_timeline.operations.back());
      }
    }
    return at->second;
  }

  void describe(const kernels::StageRange& stage, MeasuredOperation& operation) const {
    operation.name = stage.stage;
    operation.step = stage.step;
    const auto number = static_cast<std::size_t>(stage.layer);
    operation.layer =
        number < m_layers.size() ? static_cast<std::int32_t>(m_layers[number]) : stage.layer;
    operation.micro_batch = stage.micro_batch;
  }

  /// Stages that ran on a thread of the host: their own ranges there, not those around the call
  /// that enqueued them.
  void add_host_stages() {
    std::vector<bool> enqueues(m_records.ranges.size(), false);
    for (const CallActivity& call : m_records.calls) {
      if (const auto range = m_outermost.at(call.thread, call.begin_ns)) {
        enqueues[*range] = true;
      }
    }
    for (const auto& [thread, list] : m_outermost.by_thread()) {
      for (const std::size_t r : list) {
        const RangeActivity& range = m_records.ranges[r];
        const auto stage = kernels::parse_stage_range(range.name);
        if (!stage || enqueues[r] || lane_of(stage->stage) != sim::Lane::kCpu) {
          continue;
        }
        MeasuredOperation& operation =
            m_timeline.operations[new_operation(range.name, sim::Lane::kCpu)];
        describe(*stage, operation);
        operation.begin_us = host_us(range.begin_ns);
        operation.end_us = host_us(range.end_ns);
      }
    }
  }

  // ---- The host.

  std::size_t thread_of(std::uint32_t number) {
    return m_threads.emplace(number, m_threads.size()).first->second;
  }

  void add_host_spans() {
    const auto add_all = [&](const auto& list, HostSpanKind kind) {
      for (const auto& entry : list) {
        m_timeline.host.push_back({kind, entry.name, entry.thread, host_us(entry.begin_ns),
                                   host_us(entry.end_ns), false});
      }
    };
    add_all(m_records.ranges, HostSpanKind::kRange);
    add_all(m_records.overheads, HostSpanKind::kOverhead);
    for (const CallActivity& call : m_records.calls) {
      m_timeline.host.push_back({HostSpanKind::kCall, call.name, call.thread,
                                 host_us(call.begin_ns), host_us(call.end_ns), call.failed});
    }
    std::stable_sort(m_timeline.host.begin(), m_timeline.host.end(),
                     [](const HostSpan& a, const HostSpan& b) {
                       return std::make_tuple(a.begin_us, -a.end_us, a.kind) <
                              std::make_tuple(b.begin_us, -b.end_us, b.kind);
                     });
    for (HostSpan& span : m_timeline.host) {
      span.thread = thread_of(static_cast<std::uint32_t>(span.thread));
    }
    m_timeline.threads = m_threads.size();
  }

  // ---- Sums.

  void finish() {
    std::vector<Stretches> of_operation(m_timeline.operations.size());
    std::array<Stretches, sim::kLanes> of_lane;
    for (const MeasuredActivity& activity : m_timeline.activities) {
      of_operation[activity.operation].add(activity.begin_us, activity.end_us);
      of_lane[index(activity.lane)].add(activity.begin_us, activity.end_us);
    }
    const auto ignore = [](double) {};
    for (std::size_t o = 0; o < m_timeline.operations.size(); ++o) {
      MeasuredOperation& operation = m_timeline.operations[o];
      if (operation.activities == 0) {
        of_operation[o].add(operation.begin_us, operation.end_us);
        of_lane[index(operation.lane)].add(operation.begin_us, operation.end_us);
      }
      operation.busy_us = of_operation[o].united(ignore);
      LaneFigures& lane = m_timeline.lanes[index(operation.lane)];
      lane.bytes += operation.bytes;
      lane.pieces += operation.pieces;
      m_timeline.total_us = std::max(m_timeline.total_us, operation.end_us);
    }
    for (std::size_t l = 0; l < sim::kLanes; ++l) {
      LaneFigures& lane = m_timeline.lanes[l];
      lane.busy_us = of_lane[l].united([&](double gap_us) {
        lane.gap_us += gap_us;
        lane.longest_gap_us = std::max(lane.longest_gap_us, gap_us);
      });
    }
    for (const HostSpan& span : m_timeline.host) {
      m_timeline.total_us = std::max(m_timeline.total_us, span.end_us);
    }
    sort_by_begin();
  }

  void sort_by_begin() {
    std::vector<MeasuredOperation>& operations = m_timeline.operations;
    std::vector<std::size_t> order(operations.size());
    for (std::size_t o = 0; o < order.size(); ++o) {
      order[o] = o;
    }
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return operations[a].begin_us < operations[b].begin_us;
    });
    std::vector<std::size_t> place(order.size());
    std::vector<MeasuredOperation> sorted;
    for (const std::size_t o : order) {
      place[o] = sorted.size();
      sorted.push_back(std::move(operations[o]));
    }
    operations = std::move(sorted);
    for (MeasuredActivity& activity : m_timeline.activities) {
      activity.operation = place[activity.operation];
    }
    std::stable_sort(m_timeline.activities.begin(), m_timeline.activities.end(),
                     [](const MeasuredActivity& a, const MeasuredActivity& b) {
                       return a.begin_us < b.begin_us;
                     });
  }

  void add_notes() {
    const auto note = [&](std::int64_t count, std::string_view text) {
      if (count > 0) {
        m_timeline.notes.push_back(fmt::format("{} {}", count, text));
      }
    };
    note(m_records.dropped, "records were dropped by CUPTI, which had no room for them");
    note(m_records.truncated, "records are shorter than their kind is, and left out");
    note(m_records.implausible, "records have times or sizes that make no sense, and are left out");
    note(m_records.unclosed, "ranges lack their begin or end, and are left out");
    for (const auto& [kind, count] : m_records.unknown) {
      note(count, fmt::format("records of CUPTI's activity kind {} are not read", kind));
    }
    note(std::count_if(m_records.calls.begin(), m_records.calls.end(),
                       [](const CallActivity& call) { return call.failed; }),
         "calls of CUDA did not succeed");
    if (m_timeline.activities.empty()) {
      m_timeline.notes.emplace_back("no kernel, copy or fill was recorded");
    } else if (m_records.ranges.empty()) {
      m_timeline.notes.emplace_back(
          "no NVTX range was recorded: every kernel, copy and fill stands alone");
    }
    if (m_shift_ns > 0) {
      m_timeline.notes.push_back(
          fmt::format("the GPU's times were moved by {:.3f} us, so that nothing begins before it "
                      "was enqueued",
                      m_timeline.clock_shift_us));
    }
    if (m_records.newer) {
      m_timeline.notes.push_back(fmt::format(
          "CUPTI is newer than version {}, whose records are known", kNewestCheckedCupti));
    }
  }

  const ActivityRecords& m_records;
  std::span<const std::int64_t> m_layers;
  OutermostRanges m_outermost;
  MeasuredTimeline m_timeline;
  std::unordered_map<std::uint32_t, const CallActivity*> m_calls;       ///< by correlation
  std::unordered_map<std::string, std::string> m_kernel_names;          ///< short ones, by mangled
  std::map<std::pair<std::size_t, sim::Lane>, std::size_t> m_of_range;  ///< operations
  std::set<std::pair<std::uint32_t, std::size_t>> m_counted_calls;      ///< correlation, operation
  std::map<std::uint32_t, std::size_t> m_threads;
  std::int64_t m_first_ns = 0;
  std::int64_t m_shift_ns = 0;
};

}  // namespace

MeasuredTimeline measured_timeline(const ActivityRecords& records,
                                   std::span<const std::int64_t> layers) {
  return TimelineMaker(records, layers).make();
}

}  // namespace kvsieve::profile
