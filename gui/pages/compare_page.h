#pragma once
// Two runs or two sweeps beside each other: what changed, by how much, and what one of them lacks.

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QTableWidget>
#include <memory>

#include "core/run_delta.h"
#include "core/sweep_delta.h"
#include "widgets/chart_view.h"
#include "widgets/delta_map_view.h"
#include "widgets/page.h"

namespace kvsieve::gui {

class ComparePage : public Page {
  Q_OBJECT
 public:
  explicit ComparePage(Workspace& workspace);
  ~ComparePage() override;

 public Q_SLOTS:
  /// The baseline becomes what is shown, and the other way round.

 private:
  [[nodiscard]] QWidget* make_head();
  [[nodiscard]] QWidget* make_run_part();
  [[nodiscard]] QWidget* make_sweep_part();
  [[nodiscard]] QTableWidget* make_table(const QString& id, const QString& name,
                                         const QStringList& columns);
  void compare();
  void fill_baselines();
  void choose_baseline(int index);
  void show_run_delta();
  void show_figure();
  void show_sweep_delta();
  void show_sweep_metric();
  void show_set_up(const std::vector<SetUpDelta>& deltas);
  void show_missing(const std::vector<MissingItem>& items);
  /// Two sweeps are open and not two runs.
  [[nodiscard]] bool compares_sweeps() const;

  QLabel* m_empty;
  QWidget* m_content;
  QComboBox* m_baseline;
  QLabel* m_shown;
  QPushButton* m_swap;
  QLabel* m_summary;
  QLabel* m_set_up_title;
  QTableWidget* m_set_up;
  QLabel* m_missing_title;
  QTableWidget* m_missing;
  QWidget* m_run_part;
  QTableWidget* m_figures;
  QComboBox* m_figure;
  QCheckBox* m_relative;
  DeltaMapView* m_map;
  ChartView* m_layers;
  ChartView* m_steps;
  QWidget* m_sweep_part;
  QTableWidget* m_metrics;
  QComboBox* m_metric;
  QTableWidget* m_points;
  std::shared_ptr<const RunDelta> m_run_delta;
  std::shared_ptr<const SweepDelta> m_sweep_delta;
  bool m_rows_waiting = false;  ///< rows came while others were compared
  bool m_filling = false;
};

}  // namespace kvsieve::gui
