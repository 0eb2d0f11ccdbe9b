#pragma once
// A figure of every head of a run: layers down, heads across.

#include <optional>
#include <vector>

#include "core/head_figures.h"
#include "core/head_grid.h"
#include "kvsieve/sim/pareto.h"
#include "widgets/plot_view.h"

class QPainter;

namespace kvsieve::gui {

/// Click selects a head (Ctrl toggles, Shift extends from the current one), a drag selects a block
/// (Ctrl adds to what is selected). Arrows, Home and End move a cursor, Enter selects what is under
/// it, Space toggles it, Shift+arrows extend, Ctrl+A selects all heads.
class HeadMatrixView : public PlotView {
  Q_OBJECT
 public:
  /// Of sequential scales; figures around a centre have a diverging one.
  enum class Colours { kEven, kCividis };

  HeadMatrixView(QString id, QString title, Workspace& workspace);

  /// Shows a figure. @param sharing values of other figures that its colours must cover too
  void set_figure(HeadFigure figure, std::vector<sim::Values> sharing = {});
  void clear(const QString& empty_text);
  void set_colours(Colours colours);
  /// Colours by the logarithm; figures around a centre keep their own scale.
  void set_log(bool log);
  /// Share of the values beyond each end of the colours, [0, 0.5).
  void set_clip(double share);

  [[nodiscard]] const std::optional<HeadFigure>& figure() const noexcept { return m_figure; }
  [[nodiscard]] const ColourRange& range() const noexcept { return m_range; }
  /// Where the cells lie in a drawing of that size.
  [[nodiscard]] HeadGrid grid(const QSize& size) const;
  [[nodiscard]] GridCell cursor() const noexcept { return m_cursor; }
  /// The colour of a value.
  [[nodiscard]] QColor colour_of(double value) const;
  /// Head, value with its exact form and unit, rank among heads, formula: a line each.
  [[nodiscard]] QString text_at(const GridCell& cell) const;

  [[nodiscard]] bool is_empty() const override { return !m_figure; }
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;
  [[nodiscard]] QString spoken() const override;
  [[nodiscard]] QSize sizeHint() const override;

 Q_SIGNALS:
  /// A head was double-clicked, or Enter was pressed on the one that is selected already.
  void activated(const kvsieve::gui::HeadId& head);

 protected:
  bool event(QEvent* event) override;
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  void recolour();
  void mark_selected();
  void draw_labels(QPainter& painter, const HeadGrid& grid) const;
  void draw_cells(QPainter& painter, const HeadGrid& grid) const;
  void draw_selection(QPainter& painter, const HeadGrid& grid) const;
  void draw_legend(QPainter& painter, const HeadGrid& grid, const QSize& size) const;
  void move_cursor(const GridCell& cell, bool extends);
  void say(const GridCell& cell);
  [[nodiscard]] std::size_t index_of(const GridCell& cell) const;
  [[nodiscard]] HeadId head_at(const GridCell& cell) const;
  [[nodiscard]] QString value_text(std::size_t index) const;

  std::optional<HeadFigure> m_figure;
  std::optional<sim::ParetoDirection> m_best;  ///< of the figure
  std::vector<sim::Values> m_sharing;
  std::vector<HeadId> m_heads;
  HeadRanks m_ranks;
  ColourRange m_range;
  std::vector<QString> m_texts;   // of cells
  std::vector<QRgb> m_cell_inks;  // colours of cells
  std::vector<bool> m_selected;   // cells
  Colours m_colours = Colours::kEven;
  bool m_log = false;
  double m_clip = 0.0;
  GridCell m_cursor;
  std::optional<GridCell> m_hovered;
  std::optional<QPointF> m_pressed;
  std::optional<QPointF> m_dragged_to;
};

}  // namespace kvsieve::gui
