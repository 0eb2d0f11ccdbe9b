#pragma once
// Where the rows of timelines lie, one above the other, and which event is where.

#include <QPointF>
#include <QString>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/level_of_detail.h"

namespace kvsieve::gui {

/// Events are boxes of their own from this width on.
inline constexpr double kLeastBoxPx = 3.0;

/// An event of one of the timelines.
struct TimelinePlace {
  std::size_t timeline = 0;
  std::size_t event = 0;

  bool operator==(const TimelinePlace&) const = default;
};

/// A row of the picture.
struct TimelineBox {
  std::size_t timeline = 0;
  std::optional<std::size_t> row;  ///< nothing: exposed transfers
  QString label;
  double y = 0.0;
  double height = 0.0;
};

/// Pixels of the picture. Times begin at `label_px` from its left.
struct TimelineLayout {
  double label_px = 0.0;
  double axis_px = 0.0;         ///< height of the axis on top
  std::vector<double> title_y;  ///< by timeline
  std::vector<double> step_y;   ///< by timeline
  std::vector<TimelineBox> rows;
  double bottom = 0.0;

  /// The row at a height; null where there is none.
  [[nodiscard]] const TimelineBox* box_at(double y) const;
  /// Index into `rows` of the event's row.
  [[nodiscard]] std::size_t row_of(const Timelines& timelines, const TimelinePlace& place) const;
};

/// Rows share `height_px` as far as each holds a line of text, of `line_px`. Labels get `label_px`.
[[nodiscard]] TimelineLayout timeline_layout(const Timelines& timelines, double height_px,
                                             double line_px, double label_px);
/// What the labels say, to find their room.
[[nodiscard]] std::vector<QString> timeline_labels(const Timelines& timelines);
/// The least height at which every row can be read.
[[nodiscard]] double least_height_px(const Timelines& timelines, double line_px);

/// The event of a row at pixel `x` of the mapping, or else the nearest one within two pixels.
[[nodiscard]] std::optional<std::size_t> event_near(const TimelineEvents& events, std::size_t row,
                                                    const TimeMapping& shown, double x);
/// The middle of an event's box, of its visible part; nothing if it is out of view.
[[nodiscard]] std::optional<QPointF> middle_of(const Timelines& timelines,
                                               const TimelineLayout& layout,
                                               const TimeMapping& shown,
                                               const TimelinePlace& place);

/// The event of the uppermost row that ends first after a time.
[[nodiscard]] std::optional<TimelinePlace> first_after(const Timelines& timelines,
                                                       const TimelineLayout& layout, double us);
/// The event behind (1) or before (-1) one in its row.
[[nodiscard]] std::optional<TimelinePlace> next_in_row(const Timelines& timelines,
                                                       const TimelinePlace& place, int direction);
/// In the row below (1) or above (-1), the last event that begins no later than this one, or else
/// the first. Exposed transfers are passed over.
[[nodiscard]] std::optional<TimelinePlace> next_across_rows(const Timelines& timelines,
                                                            const TimelineLayout& layout,
                                                            const TimelinePlace& place,
                                                            int direction);

}  // namespace kvsieve::gui
