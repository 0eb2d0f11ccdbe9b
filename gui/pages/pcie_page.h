#pragma once
// PCIe: what a run moves over the host link by step, layer and head, placements side by side, and
// how fast the link moves pieces of that size.

#include <QComboBox>
#include <QLabel>
#include <QTableWidget>
#include <optional>
#include <vector>

#include "core/pcie_series.h"
#include "widgets/chart_view.h"
#include "widgets/page.h"
#include "widgets/point_view.h"

namespace kvsieve::gui {

class PciePage : public Page {
  Q_OBJECT
 public:
  explicit PciePage(Workspace& workspace);

 private:
  void make_layout();
  void show_run();
  void show_placements();
  void show_selection();
  void show_link();
  void clear_all(const QString& why);
  void pick_step(int index);
  void pick_group(int index, Qt::KeyboardModifiers modifiers);
  void pick_placement(int index);

  /// The shown run if it moves anything over the link, else null.
  [[nodiscard]] const Run* run() const;
  [[nodiscard]] kernels::Placement placement() const;

  QLabel* m_empty;
  QWidget* m_content;
  QComboBox* m_placement;
  QLabel* m_hardware;
  ChartView* m_bytes;
  ChartView* m_pieces;
  ChartView* m_group_bytes;
  ChartView* m_group_pieces;
  ChartView* m_placement_bytes;
  ChartView* m_placement_pieces;
  ChartView* m_placement_times;
  PointView* m_link;
  QTableWidget* m_totals;
  QTableWidget* m_table;

  std::vector<HeadGroup> m_groups;
  std::optional<sim::HardwareProfile> m_profile;  ///< that the run was costed on
  QString m_no_profile;                           ///< why there is none
};

}  // namespace kvsieve::gui
