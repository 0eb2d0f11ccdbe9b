#pragma once
// Retrieval: what the shown run finds over the decode steps, where its error comes from, the scores
// behind a head's selection, how codewords are used, and how long its stages take.

#include <QComboBox>
#include <QLabel>
#include <QSpinBox>
#include <QTableWidget>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/head_groups.h"
#include "core/score_scatter.h"
#include "widgets/chart_view.h"
#include "widgets/page.h"
#include "widgets/point_view.h"

namespace kvsieve::gui {

class RetrievalPage : public Page {
  Q_OBJECT
 public:
  explicit RetrievalPage(Workspace& workspace);

 private:
  void make_layout();
  void show_run();
  void show_selection();
  void show_steps();
  void show_groups();
  void show_stages();
  void show_ranking();
  void mark_ranking();
  void show_choice();

  /// Computes the chosen head's scores in a job, on the index at hand if it is that head's.
  void compute_scores();
  void show_scores(const std::shared_ptr<const RunScores>& scores, const ScoreScatter& scatter,
                   std::int64_t q_head, std::int64_t step);
  void show_codewords(const RunScores& scores);
  void clear_scores(const QString& why);

  void pick_step(int index);
  void pick_group(int index, Qt::KeyboardModifiers modifiers);
  void pick_ranked(int row, Qt::KeyboardModifiers modifiers);
  void pick_point(const PointRef& point);

  /// The retrieval run that is shown; null if there is none.
  [[nodiscard]] const Run* run() const;
  /// The head whose scores are shown: the current one if the run has it, else the run's first.
  [[nodiscard]] std::optional<HeadId> chosen_head() const;
  [[nodiscard]] std::int64_t chosen_step() const;
  [[nodiscard]] std::vector<ChartView*> step_charts() const;

  QLabel* m_empty;
  QWidget* m_content;
  ChartView* m_found;
  ChartView* m_reuse;
  ChartView* m_output;
  ChartView* m_tokens;
  ChartView* m_errors;
  ChartView* m_usage;
  ChartView* m_stages;
  PointView* m_scores;
  ChartView* m_codewords;
  QLabel* m_choice;
  QComboBox* m_q_head;
  QSpinBox* m_step;
  QTableWidget* m_ranking;

  std::vector<HeadGroup> m_groups;
  std::vector<HeadId> m_ranked;
  std::shared_ptr<const RunScores> m_head_scores;  ///< of the shown run
  /// A trace and the hash of a run's that were found to agree.
  std::pair<const traces::Trace*, std::string> m_agreeing;
};

}  // namespace kvsieve::gui
