#pragma once
// What a row of a timeline looks like at any zoom, in time proportional to the pixels and not to
// the events.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/time_mapping.h"
#include "core/timeline_events.h"

namespace kvsieve::gui {

/// A box to paint: an event that is wide enough to be one, or a column one pixel wide with all
/// events of that time.
struct RowMark {
  double x_low = 0.0;  ///< pixels; of an event that goes on beyond the picture, cut off
  double x_high = 0.0;
  std::int64_t event = -1;  ///< index into the row; -1: a column
  std::int32_t name = -1;   ///< of the event, or of what runs most of the column's time; about
  double coverage = 1.0;    ///< share of the column's time in which an event runs, above 0
  bool critical = false;    ///< the event is, or one of the column's
};

/// The events of one row. Refers to its arrays, which must outlive it.
class LevelOfDetail {
 public:
  /// Events ascending and without overlap: their begins, ends, names (from 0; empty where they have
  /// none) and whether they are critical (empty: none is). O(n log n).
  LevelOfDetail(std::span<const double> begin_us, std::span<const double> end_us,
                std::span<const std::int32_t> name, std::span<const std::uint8_t> critical);

  /// Marks from left to right. Events are boxes from `least_px` pixels on.
  /// O(pixels log n).
  [[nodiscard]] std::vector<RowMark> marks(const TimeMapping& mapping, double least_px) const;

 private:
  /// What most of a bucket's time is under.
  struct Bucket {
    std::int32_t name = -1;
    float us = 0.0F;
  };
  struct Level {
    double width_us = 0.0;
    std::vector<Bucket> buckets;  ///< from the row's begin on
  };
  void build_level(std::size_t buckets);
  [[nodiscard]] RowMark column(std::size_t first, std::size_t last, double low_us,
                               double high_us) const;
  [[nodiscard]] std::int32_t main_name(std::size_t first, std::size_t last, double low_us,
                                       double high_us) const;

  std::span<const double> m_begin_us;
  std::span<const double> m_end_us;
  std::span<const std::int32_t> m_name;
  double m_origin_us = 0.0;
  double m_total_us = 0.0;
  std::int32_t m_names = 0;
  std::vector<double> m_before_us;               ///< [n + 1] time of the events before each
  std::vector<std::uint32_t> m_before_critical;  ///< [n + 1], empty if none is
  std::vector<Level> m_levels;                   ///< from the finest
};

/// All rows of a timeline, and its exposed transfers as a row without names.
class TimelineDetail {
 public:
  /// O(n log n): for worker threads.
  explicit TimelineDetail(std::shared_ptr<const TimelineEvents> events);

  [[nodiscard]] const TimelineEvents& events() const noexcept { return *m_events; }
  /// @param row index into events().rows()
  [[nodiscard]] const LevelOfDetail& row(std::size_t row) const { return m_rows[row]; }
  [[nodiscard]] const LevelOfDetail& exposed() const noexcept { return m_exposed; }

 private:
  std::shared_ptr<const TimelineEvents> m_events;
  std::vector<LevelOfDetail> m_rows;
  LevelOfDetail m_exposed;
};

/// Shown one above the other, from top to bottom, all from their begin.
using Timelines = std::vector<std::shared_ptr<const TimelineDetail>>;

}  // namespace kvsieve::gui
