#pragma once
// The points of a sweep: a table that sorts and filters beside a chart with the Pareto front.

#include <QCheckBox>
#include <QComboBox>
#include <QElapsedTimer>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QStackedWidget>
#include <QTimer>
#include <QToolButton>
#include <memory>
#include <optional>
#include <vector>

#include "core/sweep_arrangement.h"
#include "core/sweep_rows_model.h"
#include "widgets/page.h"
#include "widgets/pareto_view.h"
#include "widgets/sweep_table_view.h"

namespace kvsieve::gui {

class SweepPage : public Page {
  Q_OBJECT
 public:
  explicit SweepPage(Workspace& workspace);
  ~SweepPage() override;

  [[nodiscard]] QTableView& table() { return *m_table; }
  [[nodiscard]] ParetoView& chart() { return *m_chart; }
  [[nodiscard]] SweepRowsModel& model() { return *m_model; }
  /// The shown rows as CSV with all columns. Throws Error(kBadInput) naming the path if it cannot
  /// be written.
  void export_csv(const QString& path) const;

 public Q_SLOTS:
  /// For Ctrl+F.
  void focus_filter();
  /// Shows these metrics on the axes, with the direction that their names tell.
  void set_axes(const QString& x, const QString& y);

 Q_SIGNALS:
  /// Open a point as a run: the words of `kvsieve run TRACE ...` or `kvsieve cost ...` behind the
  /// program's name.
  void open_point(const QStringList& words);

 protected:
  void keyPressEvent(QKeyEvent* event) override;

 private:
  /// One axis of the chart.
  struct Axis {
    QComboBox* metric = nullptr;
    QComboBox* direction = nullptr;
    QCheckBox* log = nullptr;
  };

  [[nodiscard]] QWidget* make_table_side();
  [[nodiscard]] QWidget* make_chart_side();
  Axis make_axis(const QString& name);
  void make_actions();
  void read_sweep();
  void fill_choices(const SweepTable& table);
  void arrange_rows();
  void show_arrangement(std::shared_ptr<const SweepArrangement> arrangement);
  void show_chart();
  void show_live(const SweepTable& table);
  void sort_by(int column, std::optional<bool> descending);
  void fill_columns_menu();
  [[nodiscard]] std::optional<sim::ParetoObjective> objective(const Axis& axis) const;
  void take_table_selection();
  void show_selection();
  /// Rows of the sweep that are selected, or the current one, in the table's order.
  [[nodiscard]] std::vector<std::uint32_t> chosen_rows() const;
  void open_row(std::uint32_t row);

  SweepRowsModel* m_model;
  QStackedWidget* m_stack;
  QLabel* m_empty;
  QLineEdit* m_filter;
  QLabel* m_filter_error;
  QLabel* m_counts;
  QLabel* m_live;
  QLabel* m_shared;
  SweepTableView* m_table;
  QToolButton* m_columns;
  QPushButton* m_open;
  QPushButton* m_copy_command;
  ParetoView* m_chart;
  Axis m_x;
  Axis m_y;
  QComboBox* m_colour;
  QComboBox* m_shape;
  QTimer m_filter_timer;
  QTimer m_quiet_timer;
  QString m_shown_path;  ///< of the store that the choices are of
  SweepColumnId m_sort{SweepColumnId::Kind::kNumber, {}};
  bool m_descending = false;
  bool m_rows_waiting = false;  ///< rows came while others were arranged
  bool m_filling = false;
  bool m_selecting = false;
};

}  // namespace kvsieve::gui
