#pragma once
// Timeline: what runs when on GPU, link and host, what a step waits for, and what hides behind
// what.

#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <memory>

#include "core/roofline.h"
#include "widgets/chart_view.h"
#include "widgets/page.h"
#include "widgets/point_view.h"
#include "widgets/timeline_view.h"

namespace kvsieve::gui {

class TimelinePage : public Page {
  Q_OBJECT
 public:
  explicit TimelinePage(Workspace& workspace);

  [[nodiscard]] TimelineView& view() { return *m_view; }
  /// Writes the modelled timeline as a Chrome trace, in a job.
  void export_chrome_trace(const QString& path);

 private:
  /// The shown run's timeline with all that is shown of it.
  struct Modelled {
    sim::Timeline timeline;
    sim::TimelineResult result;
    QString title;
    std::int64_t steps = 1;
    double step_us = 0.0;  ///< computed here
    std::shared_ptr<const TimelineDetail> detail;
    Roofline roofline;
  };

  void compute();
  void show_all();
  void show_step();
  void show_summary();
  void show_critical_path();
  void show_overlap();
  void show_roofline();
  void choose_step(int step);
  void search(bool forward);
  /// Of the timeline on top, which the summary and the charts tell of; null if there is none.
  [[nodiscard]] const TimelineEvents* first_events() const;
  /// The selected step's time, or all.
  [[nodiscard]] TimelineStep shown_step() const;

  QLabel* m_summary;
  QLabel* m_warning;
  QSpinBox* m_step;
  QLineEdit* m_search;
  QLabel* m_found;
  QPushButton* m_export;
  TimelineView* m_view;
  QLabel* m_measured;
  ChartView* m_critical;
  ChartView* m_overlap;
  PointView* m_roofline;
  std::shared_ptr<const Modelled> m_modelled;
  std::shared_ptr<const TimelineDetail> m_file;
  QString m_failure;
};

}  // namespace kvsieve::gui
