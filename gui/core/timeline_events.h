#pragma once
// Events on lanes, from the cost model or from a file in Chrome's trace event format.

#include <QString>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/intervals.h"
#include "core/jobs.h"
#include "kvsieve/sim/timeline.h"

namespace kvsieve::gui {

/// The model's lanes from top to bottom.
inline constexpr std::array<sim::Lane, sim::kLanes> kLaneOrder{sim::Lane::kGpu, sim::Lane::kToGpu,
                                                               sim::Lane::kToHost, sim::Lane::kCpu};
/// GPU, H2D (to GPU), D2H (to host), CPU.
[[nodiscard]] QString lane_title(sim::Lane lane);

/// One event.
struct TimelineEvent {
  std::int32_t lane = 0;
  std::int32_t name = 0;  ///< index into the timeline's names
  double begin_us = 0.0;
  double end_us = 0.0;
  double alone_us = -1.0;         ///< had it the hardware for itself; below 0 where nobody says
  std::int32_t step = -1;         ///< -1: of no step
  std::int32_t layer = -1;        ///< -1: of no layer
  std::int32_t micro_batch = -1;  ///< -1: of none
  std::int64_t bytes = 0;         ///< moved
  std::int64_t pieces = 0;        ///< of that transfer
  bool critical = false;          ///< on the critical path

  [[nodiscard]] double us() const noexcept { return end_us - begin_us; }
  bool operator==(const TimelineEvent&) const = default;
};

/// A thing that events happen on: a GPU, a copy engine, a host's cores, or a thread of a program.
struct TimelineLane {
  QString name;
  std::optional<sim::Lane> kind;  ///< nothing: a thread that is none of the model's lanes
  std::size_t row_begin = 0;      ///< its rows: [row_begin, row_end)
  std::size_t row_end = 0;
};

/// Events [begin, end) of a lane, ascending and without overlap. A lane whose events nest or
/// overlap has several.
struct TimelineRow {
  std::size_t lane = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A decode step: from the end of the one before to its own last end.
struct TimelineStep {
  std::int64_t step = 0;
  double begin_us = 0.0;
  double end_us = 0.0;
};

/// What happens between two times.
struct RangeFigures {
  double us = 0.0;
  std::vector<double> busy_us;       ///< by lane
  double transfer_us = 0.0;          ///< something crosses the link
  double exposed_transfer_us = 0.0;  ///< of it, nothing computes meanwhile
  double bytes = 0.0;                ///< over the link; of an event in part, its share

  /// Of the time in which something crosses the link, the share in which something computes too.
  [[nodiscard]] std::optional<double> overlap() const noexcept;
};

/// A lane's events of one name between two times; those that are partly outside count in part.
struct NameSum {
  std::size_t lane = 0;
  std::int32_t name = 0;
  std::int64_t events = 0;
  double us = 0.0;
  double longest_us = 0.0;   ///< of one event, whole
  double critical_us = 0.0;  ///< on the critical path
  double bytes = 0.0;
  double pieces = 0.0;
};

/// What a timeline is made from: events in any order, with nothing derived yet.
struct TimelineParts {
  QString title;
  QString origin;  ///< "modelled" or "measured"
  std::vector<TimelineLane> lanes;
  std::vector<QString> names;
  std::vector<TimelineEvent> events;
  std::int64_t skipped = 0;  ///< entries of a file without a begin and an end
};

/// Shared between pages, never changed. Events are columns of plain arrays, ordered by lane, row
/// and begin; time begins with the first event.
class TimelineEvents {
 public:
  explicit TimelineEvents(TimelineParts parts);

  /// The cost model's: its four lanes.
  [[nodiscard]] static std::shared_ptr<const TimelineEvents> from_model(
      const sim::Timeline& timeline, const sim::TimelineResult& result, const QString& title);
  /// Reads a file in Chrome's trace event format (chrome_events.h). Throws Error(kBadInput), one
  /// line that begins with the path and says at which byte it is broken.
  [[nodiscard]] static std::shared_ptr<const TimelineEvents> load(const QString& path,
                                                                  const JobControl& control);

  [[nodiscard]] const QString& title() const noexcept { return m_title; }
  [[nodiscard]] const QString& origin() const noexcept { return m_origin; }
  /// Entries that are not shown: no events with a begin and an end, or nested deeper than 64.
  [[nodiscard]] std::int64_t skipped() const noexcept { return m_skipped; }
  [[nodiscard]] std::size_t size() const noexcept { return m_begin_us.size(); }
  [[nodiscard]] double total_us() const noexcept { return m_total_us; }
  [[nodiscard]] const std::vector<TimelineLane>& lanes() const noexcept { return m_lanes; }
  [[nodiscard]] const std::vector<TimelineRow>& rows() const noexcept { return m_rows; }
  [[nodiscard]] const std::vector<TimelineStep>& steps() const noexcept { return m_steps; }
  [[nodiscard]] const std::vector<QString>& names() const noexcept { return m_names; }
  /// Times in which something crosses the link and nothing computes.
  [[nodiscard]] const Intervals& exposed() const noexcept { return m_exposed; }
  /// Whether it has a lane or event of the link.
  [[nodiscard]] bool has_transfers() const noexcept { return m_transfers.size() > 0; }
  [[nodiscard]] bool has_critical() const noexcept { return m_has_critical; }

  [[nodiscard]] std::span<const double> begin_us() const noexcept { return m_begin_us; }
  [[nodiscard]] std::span<const double> end_us() const noexcept { return m_end_us; }
  [[nodiscard]] std::span<const std::int32_t> name_ids() const noexcept { return m_name; }
  [[nodiscard]] std::span<const std::uint8_t> critical() const noexcept { return m_critical; }

  [[nodiscard]] TimelineEvent event(std::size_t index) const;
  [[nodiscard]] const QString& name_of(std::size_t index) const {
    return m_names[static_cast<std::size_t>(m_name[index])];
  }
  [[nodiscard]] std::size_t row_of(std::size_t index) const;
  /// The event of a row at a time; nothing in a gap.
  [[nodiscard]] std::optional<std::size_t> at(std::size_t row, double us) const;
  /// The event whose name contains `text` (letter case does not matter) and that begins next after
  /// `after`, or else the first one of all; the other way round if not `forward`.
  [[nodiscard]] std::optional<std::size_t> find(const QString& text,
                                                std::optional<std::size_t> after,
                                                bool forward = true) const;

  /// O(events between the times).
  [[nodiscard]] RangeFigures figures(double low_us, double high_us) const;

  /// The events of each lane between two times, by name, in the order of lanes, then the longest
  /// time first. O(events between the times).
  [[nodiscard]] std::vector<NameSum> sums(double low_us, double high_us) const;

 private:
  void order(std::vector<TimelineEvent>& events);
  void find_steps();
  void find_exposed();
  /// Of a row's events, those that touch [low, high).
  [[nodiscard]] TimelineRow within(const TimelineRow& row, double low_us, double high_us) const;
  [[nodiscard]] bool crosses_link(std::size_t lane, std::size_t index) const;

  QString m_title;
  QString m_origin;
  std::int64_t m_skipped = 0;
  double m_total_us = 0.0;
  bool m_has_critical = false;
  std::vector<TimelineLane> m_lanes;
  std::vector<TimelineRow> m_rows;
  std::vector<TimelineStep> m_steps;
  std::vector<QString> m_names;
  std::vector<double> m_begin_us;
  std::vector<double> m_end_us;
  std::vector<double> m_alone_us;
  std::vector<std::int64_t> m_bytes;
  std::vector<std::int64_t> m_pieces;
  std::vector<std::int32_t> m_name;
  std::vector<std::int32_t> m_step;
  std::vector<std::int32_t> m_layer;
  std::vector<std::int32_t> m_micro_batch;
  std::vector<std::uint8_t> m_critical;
  std::vector<Intervals> m_busy;  ///< by lane
  Intervals m_transfers;
  Intervals m_exposed;
};

}  // namespace kvsieve::gui
