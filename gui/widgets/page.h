#pragma once
// A page of the main window: one question about what is open.

#include <QVBoxLayout>
#include <QWidget>
#include <vector>

#include "widgets/plot_frame.h"
#include "widgets/plot_view.h"

namespace kvsieve::gui {

class Page : public QWidget {
  Q_OBJECT
 public:
  /// @param id "heads": in session files and exports @param title of its tab
  Page(QString id, QString title, Workspace& workspace);

  [[nodiscard]] const QString& id() const noexcept { return m_id; }
  [[nodiscard]] const QString& title() const noexcept { return m_title; }
  /// In the order in which they were added.
  [[nodiscard]] const std::vector<PlotView*>& plots() const noexcept { return m_plots; }

 Q_SIGNALS:
  /// For the status bar.
  void hovered(const QString& text);

 protected:
  [[nodiscard]] Workspace& workspace() const noexcept { return m_workspace; }
  /// Puts a plot into its frame, owned by this page; the caller adds the frame to a layout.
  PlotFrame* add_plot(PlotView* plot);
  /// The page's content scrolls: a column that pages fill.
  [[nodiscard]] QVBoxLayout& column() { return *m_column; }

 private:
  QString m_id;
  QString m_title;
  Workspace& m_workspace;
  QVBoxLayout* m_column;
  std::vector<PlotView*> m_plots;
};

}  // namespace kvsieve::gui
