#pragma once
// Draws timelines: an axis of time, steps, and lanes of events in the colours of their stages.

#include <QColor>
#include <QPainter>
#include <QPalette>
#include <optional>
#include <vector>

#include "core/intervals.h"
#include "core/selection.h"
#include "core/timeline_layout.h"

namespace kvsieve::gui {

/// What stands out in the picture.
struct TimelineMarks {
  const Selection& selection;  ///< its step and the layers of its heads
  std::optional<TimelinePlace> event;
  std::optional<Stretch> range;
};

/// Events of a name have one colour in all timelines; stages have theirs always.
class TimelinePainter {
 public:
  TimelinePainter() = default;
  TimelinePainter(Timelines timelines, const QPalette& palette);

  /// Fills the whole size, in the painter's font.
  void paint(QPainter& painter, const QSize& size, const TimelineLayout& layout,
             const TimeMapping& shown, const TimelineMarks& marks) const;
  /// One cursor through all lanes of all timelines, with its time on the axis.
  void paint_cursor(QPainter& painter, const TimelineLayout& layout, const TimeMapping& shown,
                    double x) const;

 private:
  /// What boxes of a name look like: a colour, and a pattern where eight colours are not enough.
  struct Look {
    QColor fill;
    QColor text;
    Qt::BrushStyle pattern = Qt::NoBrush;
  };
  /// A drawing that goes on.
  struct Picture {
    QPainter& painter;
    const TimelineLayout& layout;
    const TimeMapping& shown;
    const TimelineMarks& marks;
  };
  void paint_axis(const Picture& picture) const;
  void paint_titles(const Picture& picture) const;
  void paint_steps(const Picture& picture) const;
  void paint_row(const Picture& picture, const TimelineBox& box) const;
  void paint_exposed(const Picture& picture, const TimelineBox& box) const;
  void paint_event(const Picture& picture, const TimelineBox& box, const RowMark& mark,
                   std::size_t event) const;
  void paint_name(QPainter& painter, const QRectF& rect, const Look& look,
                  const QString& name) const;
  void paint_range(const Picture& picture) const;

  Timelines m_timelines;
  QPalette m_palette;
  std::vector<std::vector<Look>> m_looks;  ///< by timeline and name
};

}  // namespace kvsieve::gui
