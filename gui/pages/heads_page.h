#pragma once
// Heads: what each head keeps and loses, as a matrix, as bars and as a ranking.

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <vector>

#include "core/head_table.h"
#include "widgets/chart_view.h"
#include "widgets/head_matrix_view.h"
#include "widgets/page.h"

namespace kvsieve::gui {

/// Heads in the order of a figure, numbered by it.
class RankedHeads : public QSortFilterProxyModel {
  Q_OBJECT
 public:
  using QSortFilterProxyModel::QSortFilterProxyModel;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;
};

class HeadsPage : public Page {
  Q_OBJECT
 public:
  explicit HeadsPage(Workspace& workspace);

 public Q_SLOTS:
  /// Puts the keyboard into the find box.
  void focus_search();
  /// The colours of the matrix: cividis, or violet to yellow.
  void set_cividis(bool cividis);

 Q_SIGNALS:
  /// The user wants to see one head: it was double-clicked, or Enter was pressed on it twice.
  void head_activated(const kvsieve::gui::HeadId& head);

 private:
  enum class Show { kRun, kBaseline, kDifference, kRatio };

  void make_controls();
  void make_ranking();
  void show_run();
  void show_figure();
  void show_selection();
  void show_layers();
  void show_heads_of_layers();
  void clear(const QString& empty_text);
  void find();
  void select_rows();
  [[nodiscard]] Show shown() const;
  [[nodiscard]] HeadFigure figure(const HeadFigureName& name,
                                  std::vector<std::string>& missing) const;
  /// Layers of the selected heads, or the first one; indices into the run's layers.
  [[nodiscard]] std::vector<std::size_t> chosen_layers() const;

  QComboBox* m_figure;
  QComboBox* m_show;
  QComboBox* m_colours;
  QComboBox* m_clip;
  QComboBox* m_range;
  QCheckBox* m_log;
  QLineEdit* m_find;
  QLabel* m_answer;
  QLabel* m_missing;
  HeadMatrixView* m_matrix;
  QTableView* m_ranking;
  HeadTable m_table;
  RankedHeads m_sorted;
  ChartView* m_budgets;
  ChartView* m_head_losses;
  ChartView* m_layer_losses;
  std::vector<HeadFigureName> m_names;
  std::vector<HeadId> m_bar_heads;  // of the bars by head
  std::vector<std::size_t> m_bar_layers;
  std::shared_ptr<const Run> m_bar_run;
  bool m_showing = false;  // the tables follow the selection, not the other way round
};

}  // namespace kvsieve::gui
