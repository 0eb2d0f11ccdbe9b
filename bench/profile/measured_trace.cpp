#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "kvsieve/profile/measured_timeline.h"
#include "kvsieve/sim/flight_counter.h"

namespace kvsieve::profile {
namespace {

using nlohmann::ordered_json;

constexpr int kProcess = 1;

/// Rows of a trace's process. A row's events nest or follow one another, as viewers expect.
class Rows {
 public:
  /// @param order among the rows that are shown; equal ones in the order of adding
  int add(const std::string& name, int order) {
    m_rows.push_back({name, order});
    return static_cast<int>(m_rows.size()) - 1;
  }

  [[nodiscard]] ordered_json metadata(const std::string& process) const {
    ordered_json events = ordered_json::array();
    events.push_back(entry("process_name", 0, {{"name", process}}));
    for (std::size_t row = 0; row < m_rows.size(); ++row) {
      const auto thread = static_cast<int>(row);
      events.push_back(entry("thread_name", thread, {{"name", m_rows[row].name}}));
      events.push_back(entry("thread_sort_index", thread, {{"sort_index", m_rows[row].order}}));
    }
    return events;
  }

 private:
  static ordered_json entry(const char* name, int thread, ordered_json args) {
    return {
        {"name", name}, {"ph", "M"}, {"pid", kProcess}, {"tid", thread}, {"args", std::move(args)}};
  }
  struct Row {
    std::string name;
    int order;
  };
  std::vector<Row> m_rows;
};

/// Spreads what overlaps over as many rows as are needed, all of the same name: readers take each
/// for the lane that it is a part of.
class OverlapRows {
 public:
  OverlapRows(Rows& rows, std::string name, int order)
      : m_rows(rows),
        m_name(std::move(name)),
        m_order(order),
        m_numbers{m_rows.add(m_name, order)},
        m_ends_us{0.0} {}

  /// Spans come ascending by begin.
  int row_of(double begin_us, double end_us) {
    std::size_t row = 0;
    while (row < m_ends_us.size() && m_ends_us[row] > begin_us) {
      ++row;
    }
    if (row == m_ends_us.size()) {
      m_numbers.push_back(m_rows.add(m_name, m_order));
      m_ends_us.push_back(0.0);
    }
    m_ends_us[row] = end_us;
    return m_numbers[row];
  }

 private:
  Rows& m_rows;
  std::string m_name;
  int m_order;
  std::vector<int> m_numbers;
  std::vector<double> m_ends_us;  ///< of each row's last span
};

ordered_json slice(const std::string& name, const char* category, double begin_us, double end_us,
                   int row, ordered_json args) {
  return {{"name", name},   {"cat", category},          {"ph", "X"},
          {"ts", begin_us}, {"dur", end_us - begin_us}, {"pid", kProcess},
          {"tid", row},     {"args", std::move(args)}};
}

ordered_json arguments_of(const MeasuredOperation& operation) {
  ordered_json args = ordered_json::object();
  if (operation.step >= 0) {
    args["step"] = operation.step;
  }
  if (operation.layer >= 0) {
    args["layer"] = operation.layer;
    args["micro_batch"] = operation.micro_batch;
  }
  if (operation.bytes > 0) {
    args["bytes"] = operation.bytes;
    args["pieces"] = operation.pieces;
  }
  args["busy_us"] = operation.busy_us;
  if (operation.activities > 0) {
    args["activities"] = operation.activities;
    args["call_us"] = operation.call_us;
  }
  return args;
}

ordered_json arguments_of(const MeasuredActivity& activity) {
  ordered_json args = ordered_json::object();
  if (activity.bytes > 0) {
    args["size_bytes"] = activity.bytes;
  }
  if (activity.pieces > 0) {
    args["copies"] = activity.pieces;
  }
  if (activity.grid[0] > 0) {
    args["grid"] = activity.grid;
    args["block"] = activity.block;
    args["registers"] = activity.registers;
    args["shared_bytes"] = activity.shared_bytes;
  }
  args["call_us"] = activity.call_us;
  args["wait_us"] = activity.wait_us;
  return args;
}

const char* category_of(HostSpanKind kind) {
  switch (kind) {
    case HostSpanKind::kCall:
      return "call";
    case HostSpanKind::kOverhead:
      return "overhead";
    case HostSpanKind::kRange:
      break;
  }
  return "range";
}

class TraceWriter {
 public:
  explicit TraceWriter(const MeasuredTimeline& timeline) : m_timeline(timeline) {}

  ordered_json write(const std::string& title) {
    add_operations();
    add_activities();
    add_host();
    ordered_json events = m_rows.metadata(title);
    for (ordered_json& event : m_slices) {
      events.push_back(std::move(event));
    }
    sim::FlightCounter in_flight;
    for (const MeasuredActivity& activity : m_timeline.activities) {
      if (activity.pieces > 0 && activity.lane != sim::Lane::kGpu) {
        in_flight.add(activity.lane, activity.begin_us, activity.end_us, activity.bytes);
      }
    }
    in_flight.write(events, kProcess);
    return {{"traceEvents", std::move(events)},
            {"displayTimeUnit", "ms"},
            {"otherData",
             {{"title", title},
              {"origin", "measured"},
              {"device", m_timeline.device},
              {"clock_shift_us", m_timeline.clock_shift_us},
              {"notes", m_timeline.notes}}}};
  }

 private:
  void add_operations() {
    std::vector<OverlapRows> lanes;
    for (std::size_t lane = 0; lane < sim::kLanes; ++lane) {
      lanes.emplace_back(m_rows, std::string(sim::name_of(static_cast<sim::Lane>(lane))),
                         next_order());
    }
    for (const MeasuredOperation& operation : m_timeline.operations) {
      const int row = lanes[static_cast<std::size_t>(operation.lane)].row_of(operation.begin_us,
                                                                             operation.end_us);
      m_slices.push_back(slice(operation.name, "measured", operation.begin_us, operation.end_us,
                               row, arguments_of(operation)));
    }
  }

  void add_activities() {
    std::set<std::uint32_t> streams;
    for (const MeasuredActivity& activity : m_timeline.activities) {
      streams.insert(activity.stream);
    }
    for (const std::uint32_t stream : streams) {
      OverlapRows rows(m_rows, fmt::format("stream {}", stream), next_order());
      for (const MeasuredActivity& activity : m_timeline.activities) {
        if (activity.stream == stream) {
          m_slices.push_back(slice(activity.name, activity.grid[0] > 0 ? "kernel" : "copy",
                                   activity.begin_us, activity.end_us,
                                   rows.row_of(activity.begin_us, activity.end_us),
                                   arguments_of(activity)));
        }
      }
    }
  }

  void add_host() {
    std::vector<int> rows;
    for (std::size_t thread = 0; thread < m_timeline.threads; ++thread) {
      rows.push_back(m_rows.add(fmt::format("host thread {}", thread + 1), next_order()));
    }
    // They need not nest among ranges and calls.
    std::vector<OverlapRows> overheads;
    for (const HostSpan& span : m_timeline.host) {
      int row = rows[span.thread];
      if (span.kind == HostSpanKind::kOverhead) {
        if (overheads.empty()) {
          overheads.emplace_back(m_rows, "overheads", next_order());
        }
        row = overheads.front().row_of(span.begin_us, span.end_us);
      }
      ordered_json args = ordered_json::object();
      if (span.failed) {
        args["failed"] = true;
      }
      m_slices.push_back(slice(span.name, category_of(span.kind), span.begin_us, span.end_us, row,
                               std::move(args)));
    }
  }

  int next_order() { return m_order++; }

  const MeasuredTimeline& m_timeline;
  Rows m_rows;
  int m_order = 0;
  std::vector<ordered_json> m_slices;
};

}  // namespace

ordered_json chrome_trace(const MeasuredTimeline& timeline, std::string_view title) {
  return TraceWriter(timeline).write(std::string(title));
}

}  // namespace kvsieve::profile
