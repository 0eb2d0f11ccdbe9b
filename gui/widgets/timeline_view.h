#pragma once
// Timelines one above the other: lanes of events along one axis of time.

#include <optional>

#include "core/intervals.h"
#include "core/timeline_layout.h"
#include "widgets/plot_view.h"
#include "widgets/timeline_painter.h"

namespace kvsieve::gui {

/// Zooms and pans as Perfetto: Ctrl+wheel, W and S zoom at the cursor; wheel, A, D, Left, Right and
/// Shift+drag pan; double click or 0 shows everything. A drag measures a range (M: the selected
/// event or step; Shift+Left and Shift+Right move its end). A click selects an event with its step
/// and layer; comma and full stop go to the one before and after in its row, Up and Down to other
/// rows, F focuses the range, event or step. Its zoom is in the history.
class TimelineView : public PlotView {
  Q_OBJECT
 public:
  TimelineView(QString id, Workspace& workspace);
  ~TimelineView() override;

  /// Shows timelines from top to bottom, all from their begin; none shows `empty_text`.
  void set_timelines(Timelines timelines, const QString& empty_text);
  [[nodiscard]] const Timelines& timelines() const { return m_timelines; }

  [[nodiscard]] const std::optional<TimelinePlace>& selected() const noexcept { return m_selected; }
  /// Selects an event, its step, and the heads of its layer where the run has them. Brings it into
  /// view if it is not.
  void select(const TimelinePlace& place);
  /// Selects the next event whose name contains `text`, in time. Whether there is one.
  bool find(const QString& text, bool forward);
  /// The measured range, begin first.
  [[nodiscard]] const std::optional<Stretch>& range() const noexcept { return m_range; }
  /// Zooms to a range of time, with a margin.
  void focus(double begin_us, double end_us);
  /// The time that is shown, over the width behind the labels of lanes.
  [[nodiscard]] TimeMapping mapping() const;
  /// The middle of an event's box in the widget, its visible part; nothing if it is out of view.
  [[nodiscard]] std::optional<QPoint> position_of(const TimelinePlace& place) const;

  [[nodiscard]] bool is_empty() const override { return m_timelines.empty(); }
  /// By timeline, lane and name, of the measured range or else of what is shown: an event is a row
  /// in an export as Chrome trace only.
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;

 Q_SIGNALS:
  /// The measured range changed: its duration, bytes and busy shares, or an empty text.
  void measured(const QString& text);
  void event_selected();

 protected:
  bool event(QEvent* event) override;
  void changeEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void paintEvent(QPaintEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;

 private:
  [[nodiscard]] TimelineLayout layout(const QSize& size) const;
  [[nodiscard]] TimeMapping mapping(const TimelineLayout& layout, const QSize& size) const;
  void show_time(const TimeMapping& mapping);
  void set_range(std::optional<Stretch> range);
  [[nodiscard]] QString measured_text() const;
  void step_in_row(int direction);
  void step_across_rows(int direction);
  void focus_selected();
  void follow_selection();
  [[nodiscard]] std::optional<Stretch> selected_time() const;
  [[nodiscard]] std::optional<TimelinePlace> place_at(const QPointF& position) const;
  [[nodiscard]] QString text_at(const QPointF& position) const;
  [[nodiscard]] Stretch shown_range() const;
  void paint(QPainter& painter, const QSize& size);

  Timelines m_timelines;
  TimelinePainter m_painter;
  double m_total_us = 0.0;
  std::optional<TimelinePlace> m_selected;
  std::optional<Stretch> m_range;
  std::optional<QPointF> m_mouse;
  std::optional<QPointF> m_pressed;
  TimeMapping m_pressed_mapping;
  enum class Drag { kNone, kMeasure, kPan };
  Drag m_drag = Drag::kNone;
};

}  // namespace kvsieve::gui
