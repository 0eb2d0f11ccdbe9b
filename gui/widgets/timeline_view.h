#pragma once
// Timelines one above the other: lanes of events along one axis of time.

#include <QPainter>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/level_of_detail.h"
#include "core/time_mapping.h"
#include "core/timeline_events.h"
#include "widgets/plot_view.h"

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
  void set_timelines(std::vector<std::shared_ptr<const TimelineDetail>> timelines,
                     const QString& empty_text);
  [[nodiscard]] const std::vector<std::shared_ptr<const TimelineDetail>>& timelines() const {
    return m_timelines;
  }

  /// An event of one of the timelines.
  struct Place {
    std::size_t timeline = 0;
    std::size_t event = 0;
    bool operator==(const Place&) const = default;
  };
  [[nodiscard]] const std::optional<Place>& selected() const noexcept { return m_selected; }
  /// Selects an event, its step, and the heads of its layer where the run has them. Brings it into
  /// view if it is not.
  void select(const Place& place);
  /// Selects the next event whose name contains `text`, in time. Whether there is one.
  bool find(const QString& text, bool forward);
  /// The measured range, begin first.
  [[nodiscard]] const std::optional<std::pair<double, double>>& range() const noexcept {
    return m_range;
  }
  /// Zooms to a range of time, with a margin.
  void focus(double begin_us, double end_us);
  /// The time that is shown, over the width behind the labels of lanes.
  [[nodiscard]] TimeMapping mapping() const;
  /// What a reader who points at an event sees, several lines.
  [[nodiscard]] QString text_of(const Place& place) const;
  /// The middle of an event's box in the widget, its visible part; nothing if it is out of view.
  [[nodiscard]] std::optional<QPoint> position_of(const Place& place) const;

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
  /// A row of the picture.
  struct RowBox {
    std::size_t timeline = 0;
    std::optional<std::size_t> row;  ///< nothing: exposed transfers
    QString label;
    double y = 0.0;
    double height = 0.0;
  };
  struct Layout {
    double label_px = 0.0;
    double axis_px = 0.0;         ///< height of the axis on top
    std::vector<double> title_y;  ///< by timeline
    std::vector<double> step_y;   ///< by timeline
    std::vector<RowBox> rows;
    double bottom = 0.0;
  };
  [[nodiscard]] double smallest_row() const;
  [[nodiscard]] Layout layout(const QSize& size) const;
  [[nodiscard]] TimeMapping mapping(const Layout& layout, const QSize& size) const;
  void show_time(const TimeMapping& mapping);
  void set_range(std::optional<std::pair<double, double>> range);
  [[nodiscard]] QString range_text() const;
  void step_in_row(int direction);
  void step_across_rows(int direction);
  void focus_selected();
  void follow_selection();
  [[nodiscard]] std::optional<std::pair<double, double>> selected_time() const;
  [[nodiscard]] std::optional<Place> place_at(const QPointF& position) const;
  [[nodiscard]] const RowBox* box_at(const Layout& layout, double y) const;
  [[nodiscard]] QString text_at(const QPointF& position) const;
  [[nodiscard]] std::pair<double, double> shown_range() const;

  void paint(QPainter& painter, const QSize& size);
  void paint_axis(QPainter& painter, const Layout& layout, const TimeMapping& mapping) const;
  void paint_steps(QPainter& painter, const Layout& layout, const TimeMapping& mapping) const;
  void paint_row(QPainter& painter, const RowBox& box, const TimeMapping& mapping) const;
  void paint_exposed(QPainter& painter, const RowBox& box, const TimeMapping& mapping) const;
  void paint_event(QPainter& painter, const RowBox& box, const RowMark& mark,
                   std::size_t event) const;
  void paint_range(QPainter& painter, const Layout& layout, const TimeMapping& mapping) const;
  void choose_colours();
  /// What boxes of a name look like: a colour, and a pattern where eight colours are not enough.
  struct Look {
    QColor fill;
    QColor text;
    Qt::BrushStyle pattern = Qt::NoBrush;
  };

  std::vector<std::shared_ptr<const TimelineDetail>> m_timelines;
  std::vector<std::vector<Look>> m_looks;  ///< by timeline and name
  double m_total_us = 0.0;
  std::optional<Place> m_selected;
  std::optional<std::pair<double, double>> m_range;
  std::optional<QPointF> m_mouse;
  std::optional<QPointF> m_pressed;
  TimeMapping m_pressed_mapping;
  enum class Drag { kNone, kMeasure, kPan };
  Drag m_drag = Drag::kNone;
};

}  // namespace kvsieve::gui
