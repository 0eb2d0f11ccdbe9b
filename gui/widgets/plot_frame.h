#pragma once
// The frame around a plot: title, origin, note, a menu, and its numbers as a table.

#include <QLabel>
#include <QStackedWidget>
#include <QTableWidget>
#include <QToolButton>
#include <QWidget>

#include "widgets/plot_view.h"

namespace kvsieve::gui {

class PlotFrame : public QWidget {
  Q_OBJECT
 public:
  /// Owns the plot.
  explicit PlotFrame(PlotView* plot);

  [[nodiscard]] PlotView* plot() const noexcept { return m_plot; }
  [[nodiscard]] bool shows_table() const;

 public Q_SLOTS:
  void set_shows_table(bool shows);

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void refresh();
  void make_menu();
  void save_image(const QString& suffix);
  void save_csv();

  PlotView* m_plot;
  QLabel* m_title;
  QLabel* m_origin;
  QLabel* m_note;
  QToolButton* m_menu;
  QStackedWidget* m_stack;
  QLabel* m_empty;
  QTableWidget* m_table;
};

}  // namespace kvsieve::gui
