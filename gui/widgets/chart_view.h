#pragma once
// Lines, bars, ratios, scatters and agreement charts (sim/chart.h), drawn by QCustomPlot.

#include <optional>
#include <string>
#include <vector>

#include "widgets/chart_drawing.h"
#include "widgets/xy_plot_view.h"

class QCustomPlot;

namespace kvsieve::gui {

/// A drag zooms into a box, Shift+drag and middle drag pan, a double click shows everything. Its
/// zoom is in the history.
class ChartView : public XyPlotView {
  Q_OBJECT
 public:
  ChartView(QString id, QString title, Workspace& workspace);
  ~ChartView() override;

  /// Shows a chart (BarChart, RatioChart, LineChart, ScatterChart or AgreementChart), or nothing.
  /// @param origin "captured", "modelled" or "measured" @param note how to read it
  void set_chart(const sim::Chart& chart, const QString& origin, const QString& note = {});
  void clear(const QString& empty_text);
  /// An interval around each value of a series of a LineChart or BarChart, in the same order: the
  /// band of a modelled number. Call it after set_chart.
  void set_band(std::size_t series, const std::vector<double>& low,
                const std::vector<double>& high);
  /// A vertical line at an x value (a LineChart) or a category's index (bars), or none.
  void set_marker(std::optional<double> x);
  /// Logarithmic axes. Call it after set_chart.
  void set_log_axes(bool x, bool y);

  [[nodiscard]] bool is_empty() const override { return !m_chart; }
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;
  /// Of the widget, whatever the size.
  [[nodiscard]] XyAxes axes(const QSizeF& size) const override;
  [[nodiscard]] QCustomPlot& plot() { return *m_plot; }

 public Q_SLOTS:
  void fit() override;

 Q_SIGNALS:
  /// A point, bar or category was clicked: its index in the chart.
  void picked(int index, Qt::KeyboardModifiers modifiers);

 protected:
  void changeEvent(QEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;
  void walk(int direction) override;
  void pick_walked(const QKeyEvent& event) override;

 private:
  void rebuild();
  void show_marker();
  void show_zoom();
  void store_zoom();
  void point_at(const QPointF& position);
  [[nodiscard]] std::optional<int> index_at(const QPointF& position) const;
  [[nodiscard]] int points() const;
  [[nodiscard]] std::optional<double> x_of(int index) const;
  /// What a point, bar or category says: exact numbers with units.
  [[nodiscard]] QString text_of(int index) const;

  QCustomPlot* m_plot;
  std::optional<sim::Chart> m_chart;
  std::vector<Band> m_bands;
  std::optional<double> m_marker;
  std::optional<int> m_cursor;  ///< of the keyboard
  bool m_log_x = false;
  bool m_log_y = false;
  Zoom m_everything;
  bool m_showing_zoom = false;
  QPointF m_pressed;
};

}  // namespace kvsieve::gui
