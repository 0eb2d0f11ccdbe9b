#pragma once
// Overview: what is open, and its answer in five numbers.

#include <QGridLayout>
#include <QLabel>
#include <QTableWidget>

#include "widgets/chart_view.h"
#include "widgets/page.h"

namespace kvsieve::gui {

class OverviewPage : public Page {
  Q_OBJECT
 public:
  explicit OverviewPage(Workspace& workspace);

 private:
  void show_files();
  void show_run();

  QLabel* m_what;
  QGridLayout* m_figures;
  QLabel* m_warnings;
  ChartView* m_layers;
  ChartView* m_stages;
  QTableWidget* m_facts;
};

}  // namespace kvsieve::gui
