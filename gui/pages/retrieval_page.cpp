#include "pages/retrieval_page.h"

#include <QApplication>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QPointer>
#include <QSignalBlocker>
#include <algorithm>

#include "core/qt_text.h"
#include "core/retrieval_series.h"
#include "widgets/table_cells.h"

namespace kvsieve::gui {
namespace {

const QString kScoring = QStringLiteral("Scoring tokens");

/// Shows a chart, or why there is none.
template <class Chart>
void present(ChartView& view, const Chart& chart, const QString& origin, const QString& note,
             const QString& otherwise) {
  if (chart.series.empty()) {
    view.clear(otherwise);
  } else {
    view.set_chart(chart, origin, note);
  }
}

}  // namespace

RetrievalPage::RetrievalPage(Workspace& workspace)
    : Page("retrieval", "Retrieval", workspace),
      m_empty(new QLabel),
      m_content(new QWidget),
      m_found(new ChartView("retrieval.steps", "Recall and captured mass", workspace)),
      m_reuse(new ChartView("retrieval.reuse", "Overlap and hot-buffer hits", workspace)),
      m_output(new ChartView("retrieval.output", "Output error", workspace)),
      m_tokens(new ChartView("retrieval.tokens", "Retrieved tokens", workspace)),
      m_errors(new ChartView("retrieval.errors", "Parts of the score error", workspace)),
      m_usage(new ChartView("retrieval.usage", "Use of the codewords", workspace)),
      m_stages(new ChartView("retrieval.stages", "Latency of the stages", workspace)),
      m_scores(new PointView("retrieval.scores", "Approximate against exact scores", workspace)),
      m_codewords(new ChartView("retrieval.codewords", "Tokens of each codeword", workspace)),
      m_choice(new QLabel),
      m_q_head(new QComboBox),
      m_step(new QSpinBox),
      m_ranking(make_table("retrieval.ranking", "Heads by recall")) {
  make_layout();
  for (ChartView* chart : step_charts()) {
    connect(chart, &ChartView::picked, this, [this](int index) { pick_step(index); });
  }
  for (ChartView* chart : {m_errors, m_usage}) {
    connect(chart, &ChartView::picked, this, &RetrievalPage::pick_group);
  }
  connect(m_scores, &PointView::picked, this, &RetrievalPage::pick_point);
  connect(m_ranking, &QTableWidget::cellClicked, this,
          [this](int row) { pick_ranked(row, QApplication::keyboardModifiers()); });
  connect(m_ranking, &QTableWidget::cellActivated, this,
          [this](int row) { pick_ranked(row, Qt::NoModifier); });
  connect(m_q_head, &QComboBox::currentIndexChanged, this, &RetrievalPage::compute_scores);
  connect(m_step, &QSpinBox::valueChanged, this, &RetrievalPage::pick_step);
  connect(&workspace, &Workspace::run_changed, this, &RetrievalPage::show_run);
  connect(&workspace, &Workspace::trace_changed, this, [this] {
    m_head_scores.reset();
    m_agreeing = {};  // another trace may come to stand where that one was
    compute_scores();
  });
  connect(&workspace.view(), &ViewStack::selection_changed, this, &RetrievalPage::show_selection);
  show_run();
}

void RetrievalPage::make_layout() {
  m_empty->setObjectName("retrieval.empty");
  m_empty->setWordWrap(true);
  m_empty->setTextFormat(Qt::PlainText);
  m_empty->setAlignment(Qt::AlignCenter);
  m_choice->setObjectName("retrieval.choice");
  m_choice->setTextFormat(Qt::PlainText);
  m_q_head->setObjectName("retrieval.q_head");
  m_q_head->setAccessibleName("Query head whose scores are shown");
  m_step->setObjectName("retrieval.step");
  m_step->setAccessibleName("Decode step whose scores are shown");
  m_step->setKeyboardTracking(false);
  m_ranking->setSelectionBehavior(QAbstractItemView::SelectRows);

  auto* choice = new QHBoxLayout;
  choice->addWidget(m_choice);
  auto* q_head = new QLabel("&query head");
  q_head->setBuddy(m_q_head);
  auto* step = new QLabel("decode &step");
  step->setBuddy(m_step);
  for (QWidget* widget : {static_cast<QWidget*>(q_head), static_cast<QWidget*>(m_q_head),
                          static_cast<QWidget*>(step), static_cast<QWidget*>(m_step)}) {
    choice->addWidget(widget);
  }
  choice->addStretch();
  auto* heads = new QVBoxLayout;
  auto* title = new QLabel("Heads by recall");
  QFont bold = title->font();
  bold.setBold(true);
  title->setFont(bold);
  title->setBuddy(m_ranking);
  heads->addWidget(title);
  heads->addWidget(m_ranking, 1);

  auto* grid = new QGridLayout(m_content);
  grid->setContentsMargins(0, 0, 0, 0);
  constexpr int kGap = 16;
  grid->setSpacing(kGap);
  grid->addWidget(add_plot(m_found), 0, 0);
  grid->addWidget(add_plot(m_reuse), 0, 1);
  grid->addWidget(add_plot(m_output), 1, 0);
  grid->addWidget(add_plot(m_tokens), 1, 1);
  grid->addLayout(choice, 2, 0, 1, 2);
  grid->addWidget(add_plot(m_scores), 3, 0);
  grid->addWidget(add_plot(m_codewords), 3, 1);
  grid->addWidget(add_plot(m_errors), 4, 0);
  grid->addWidget(add_plot(m_usage), 4, 1);
  grid->addWidget(add_plot(m_stages), 5, 0);
  grid->addLayout(heads, 5, 1);
  constexpr std::pair<int, int> kHeights[] = {{0, 280}, {1, 220}, {3, 380}, {4, 280}, {5, 320}};
  for (const auto& [row, height] : kHeights) {
    grid->setRowMinimumHeight(row, height);
  }
  grid->setColumnStretch(0, 1);
  grid->setColumnStretch(1, 1);
  column().addWidget(m_empty);
  column().addWidget(m_content, 1);
}

const Run* RetrievalPage::run() const {
  const Run* run = workspace().run().get();
  return run != nullptr && run->view().family == sim::Family::kRetrieval ? run : nullptr;
}

std::vector<ChartView*> RetrievalPage::step_charts() const {
  return {m_found, m_reuse, m_output, m_tokens};
}

std::optional<HeadId> RetrievalPage::chosen_head() const {
  const std::vector<HeadGroup> layers = head_groups(run()->view(), {});
  const std::optional<HeadId>& current = workspace().view().selection().current;
  if (group_of(layers, current)) {
    return current;
  }
  return layers.empty() || layers.front().heads.empty()
             ? std::nullopt
             : std::optional(layers.front().heads.front());
}

std::int64_t RetrievalPage::chosen_step() const {
  const auto last = static_cast<std::int64_t>(run()->view().steps.size()) - 1;
  return std::clamp<std::int64_t>(workspace().view().selection().step.value_or(0), 0,
                                  std::max<std::int64_t>(0, last));
}

void RetrievalPage::show_run() {
  m_head_scores.reset();
  const Run* shown = run();
  m_content->setVisible(shown != nullptr);
  m_empty->setVisible(shown == nullptr);
  if (shown == nullptr) {
    const auto& other = workspace().run();
    const QString why =
        other ? QStringLiteral(
                    "%1 evicts tokens: what it keeps stays on the GPU, so that nothing is "
                    "retrieved. Choose a retrieval method on the What-if page to see recall, "
                    "scores and latency: a2ats, exact-topk, quest, pq or another of them.")
                    .arg(qs(other->view().method_name))
              : QStringLiteral(
                    "Open a run of a retrieval method, or a trace and choose one on the What-if "
                    "page (Ctrl+O).");
    m_empty->setText(why);
    workspace().jobs().cancel(kScoring);
    for (ChartView* chart :
         {m_found, m_reuse, m_output, m_tokens, m_errors, m_usage, m_stages, m_codewords}) {
      chart->clear(why);
    }
    m_scores->clear(why);
    m_ranked.clear();
    show_table(*m_ranking, {});
    return;
  }
  show_stages();
  show_ranking();
  clear_scores("Computing the scores...");
  show_selection();
}

void RetrievalPage::show_selection() {
  if (run() == nullptr) {
    return;
  }
  show_steps();
  show_groups();
  mark_ranking();
  show_choice();
  const std::optional<TokenRange>& tokens = workspace().view().selection().tokens;
  m_scores->set_highlight(tokens && tokens->end == tokens->begin + 1 ? std::optional(tokens->begin)
                                                                     : std::nullopt);
  compute_scores();
}

void RetrievalPage::show_steps() {
  const sim::RunView& view = run()->view();
  const Selection& selection = workspace().view().selection();
  const std::vector<HeadId>& heads = selection.heads;
  const QString origin = qs(view.origin);
  const QString scope = "Of " + qs(scope_text(view, heads)) + ". ";
  const QString lacks = heads.empty() ? QStringLiteral("This method has none")
                                      : QStringLiteral(
                                            "The run does not record it by head. Press "
                                            "Esc to see all heads together.");
  present(*m_found, found_by_step(view, heads), origin,
          scope +
              "Recall@K: |S ∩ S*| / |S|, S* the exact top of the eligible tokens. Captured mass: "
              "true attention on sinks, window and retrieved tokens.",
          lacks);
  present(*m_reuse, reuse_by_step(view, heads), origin,
          scope +
              "Overlap: share of a step's retrieved tokens that the step before retrieved too. "
              "Hits: share that the hot buffer held.",
          view.method_name == "streaming-llm" ? QStringLiteral("Nothing is retrieved") : lacks);
  present(*m_output, error_by_step(view, heads), origin,
          scope + "‖o - ô‖₂ / ‖o‖₂ of a head's output, before the projection.", lacks);
  present(*m_tokens, tokens_by_step(view, heads), origin,
          scope + "The union over a group's query heads, |U|.", lacks);
  const std::optional<double> marker =
      selection.step ? std::optional(static_cast<double>(*selection.step)) : std::nullopt;
  for (ChartView* chart : step_charts()) {
    chart->set_marker(marker);
  }
}

void RetrievalPage::show_groups() {
  const sim::RunView& view = run()->view();
  const Selection& selection = workspace().view().selection();
  m_groups = head_groups(view, selection.heads);
  const sim::BarChart errors = score_errors(view, selection.heads);
  present(
      *m_errors, errors, qs(view.origin),
      "Σ(u - û)² / Σ(u - ū)² over eligible tokens, query heads and steps: 1 is no better than "
      "the mean. Windowed RoPE against RoPE, codes against windowed RoPE, and both against RoPE.",
      "The scores of this method are exact, bounds or draws: they have no error");
  const sim::BarChart usage = codeword_use(view, selection.heads);
  present(*m_usage, usage, qs(view.origin),
          QStringLiteral("Of %1 codewords: dead ones stand for no token; entropy -Σ p log₂ p over "
                         "log₂ C, 100% where all are used alike.")
              .arg(qs(sim::number_text(view.method.number("codebook/codewords").value_or(0.0),
                                       sim::Unit::kTokens))),
          "This method has no codebook");
  std::optional<double> marker;
  if (const auto group = group_of(m_groups, selection.current)) {
    marker = static_cast<double>(*group);
  }
  m_errors->set_marker(marker);
  m_usage->set_marker(marker);
}

void RetrievalPage::show_stages() {
  StageTimes times;
  try {
    times = stage_times(*run());
  } catch (...) {
    m_stages->clear(current_failure().what);
    return;
  }
  QStringList origins;
  QStringList notes{QStringLiteral("A layer of a decode step.")};
  if (!times.measured_on.empty()) {
    origins << QStringLiteral("measured");
    notes << QStringLiteral("Measured: mean on the %1 backend of the machine of the run.")
                 .arg(qs(times.measured_on));
  } else {
    notes << QStringLiteral("`kvsieve run --latency` measures them too.");
  }
  if (times.modelled) {
    origins << QStringLiteral("modelled");
    notes << QStringLiteral(
                 "Modelled: on %1, with the median error of the stage's regime where "
                 "public rows measure it; no band means that none does.")
                 .arg(qs(times.modelled_on));
  }
  present(
      *m_stages, times.chart, origins.join(QStringLiteral(" and ")),
      notes.join(QStringLiteral(" ")),
      "The run has neither: make it with --latency to measure stages, without --no-cost to model "
      "them");
  if (times.modelled) {
    m_stages->set_band(*times.modelled, times.low, times.high);
  }
}

void RetrievalPage::show_ranking() {
  HeadRanking ranking = heads_by_recall(run()->view());
  m_ranked = std::move(ranking.heads);
  const QSignalBlocker quiet(m_ranking);
  show_table(*m_ranking, ranking.table);
}

void RetrievalPage::mark_ranking() {
  const QSignalBlocker quiet(m_ranking);
  const Selection& selection = workspace().view().selection();
  m_ranking->clearSelection();
  for (std::size_t row = 0; row < m_ranked.size(); ++row) {
    if (!selection.contains(m_ranked[row])) {
      continue;
    }
    for (int column = 0; column < m_ranking->columnCount(); ++column) {
      if (QTableWidgetItem* item = m_ranking->item(static_cast<int>(row), column)) {
        item->setSelected(true);
      }
    }
    if (selection.current == m_ranked[row]) {
      m_ranking->scrollToItem(m_ranking->item(static_cast<int>(row), 0));
    }
  }
}

void RetrievalPage::show_choice() {
  const sim::RunView& view = run()->view();
  const QSignalBlocker quiet_head(m_q_head);
  const QSignalBlocker quiet_step(m_step);
  m_step->setRange(0, std::max(0, static_cast<int>(view.steps.size()) - 1));
  m_step->setValue(static_cast<int>(chosen_step()));
  const std::optional<HeadId> head = chosen_head();
  const std::int64_t group = view.trace.q_heads / std::max<std::int64_t>(1, view.trace.kv_heads);
  if (!head) {
    m_choice->setText("Scores");
    m_q_head->clear();
    return;
  }
  m_choice->setText(
      QStringLiteral("Scores of layer %1, KV head %2:").arg(head->layer).arg(head->head));
  const qint64 first = head->head * group;
  if (m_q_head->count() != group || m_q_head->itemData(0).toLongLong() != first) {
    m_q_head->clear();
    for (std::int64_t member = 0; member < group; ++member) {
      m_q_head->addItem(QString::number(first + member),
                        QVariant::fromValue<qint64>(first + member));
    }
  }
}

void RetrievalPage::compute_scores() {
  if (run() == nullptr) {
    return;
  }
  const std::shared_ptr<const Run> shown = workspace().run();
  const std::shared_ptr<const traces::Trace> trace = workspace().trace();
  const std::optional<HeadId> head = chosen_head();
  if (shown->view().method.text("scorer") == "none") {
    return clear_scores("This method retrieves nothing, so that it scores no token");
  }
  if (!head || shown->view().steps.empty()) {
    return clear_scores("The run replayed no layer or no decode step");
  }
  if (!trace) {
    return clear_scores(QStringLiteral("Open the trace %1 beside the run to compute its scores")
                            .arg(qs(shown->view().trace.file)));
  }
  const std::int64_t q_head = m_q_head->currentData().toLongLong();
  const std::int64_t step = chosen_step();
  std::shared_ptr<const RunScores> known;
  if (m_head_scores && m_head_scores->head() == *head) {
    known = m_head_scores;
  }
  const std::pair<const traces::Trace*, std::string> pair{trace.get(), shown->view().trace.hash};
  const bool agrees = m_agreeing == pair;
  workspace().jobs().start(
      kScoring,
      [page = QPointer(this), shown, trace, head = *head, q_head, step, known, agrees,
       pair](const JobControl& control) -> Jobs::Delivery {
        if (!agrees) {
          require_trace_of(*trace, *shown);
        }
        const std::shared_ptr<const RunScores> scores =
            known ? known : std::make_shared<const RunScores>(trace, *shown, head, control);
        auto scatter = std::make_shared<const ScoreScatter>(scores->at(q_head, step));
        return [page, shown, scores, scatter, q_head, step, pair] {
          if (page && page->workspace().run() == shown) {
            page->m_agreeing = pair;
            page->show_scores(scores, *scatter, q_head, step);
          }
        };
      },
      [page = QPointer(this)](const Failure& failure) {
        if (page) {
          page->clear_scores(failure.hint.isEmpty() ? failure.what
                                                    : failure.what + ": " + failure.hint);
        }
      });
}

void RetrievalPage::show_scores(const std::shared_ptr<const RunScores>& scores,
                                const ScoreScatter& scatter, std::int64_t q_head,
                                std::int64_t step) {
  const bool other_head = m_head_scores != scores;
  m_head_scores = scores;
  const std::string origin = run()->view().origin;
  if (scatter.eligible == 0) {
    m_scores->clear("Sinks and window cover every token of this step: none is eligible");
  } else {
    QString note = QStringLiteral(
                       "Layer %1, query head %2, step %3: %4 of %5 eligible tokens "
                       "selected")
                       .arg(scores->head().layer)
                       .arg(q_head)
                       .arg(step)
                       .arg(scatter.selected)
                       .arg(scatter.eligible);
    if (scatter.recall) {
      note += QStringLiteral(", recall %1")
                  .arg(qs(sim::number_text(*scatter.recall, sim::Unit::kShare)));
    }
    if (scatter.mse) {
      note += QStringLiteral(", mean (u - û)² %1")
                  .arg(qs(sim::number_text(*scatter.mse, sim::Unit::kNumber)));
    }
    m_scores->set_chart(scatter.chart, qs(origin), note + ".");
  }
  if (other_head || m_codewords->is_empty()) {
    show_codewords(*scores);
  }
}

void RetrievalPage::show_codewords(const RunScores& scores) {
  const std::vector<std::int64_t>& counts = scores.code_counts();
  if (counts.empty()) {
    m_codewords->clear("This method has no codebook");
    return;
  }
  const auto dead = std::count(counts.begin(), counts.end(), 0);
  m_codewords->set_chart(
      codeword_counts(counts), qs(run()->view().origin),
      QStringLiteral("Layer %1, KV head %2: %3 of %4 codewords are dead, the largest stands for %5 "
                     "tokens.")
          .arg(scores.head().layer)
          .arg(scores.head().head)
          .arg(dead)
          .arg(counts.size())
          .arg(counts.front()));
  // From here on they are dead.
  m_codewords->set_marker(
      dead > 0 ? std::optional(
                     static_cast<double>(static_cast<std::int64_t>(counts.size()) - dead) + 0.5)
               : std::nullopt);
}

void RetrievalPage::clear_scores(const QString& why) {
  workspace().jobs().cancel(kScoring);
  m_scores->clear(why);
  m_codewords->clear(why);
}

void RetrievalPage::pick_step(int index) {
  if (run() == nullptr || index < 0 ||
      static_cast<std::size_t>(index) >= run()->view().steps.size()) {
    return;
  }
  Selection selection = workspace().view().selection();
  selection.step = index;
  workspace().view().select(std::move(selection));
}

void RetrievalPage::pick_group(int index, Qt::KeyboardModifiers modifiers) {
  if (index >= 0 && static_cast<std::size_t>(index) < m_groups.size()) {
    workspace().view().select(gui::pick_group(workspace().view().selection(), m_groups,
                                              static_cast<std::size_t>(index), pick_of(modifiers)));
  }
}

void RetrievalPage::pick_ranked(int row, Qt::KeyboardModifiers modifiers) {
  if (row >= 0 && static_cast<std::size_t>(row) < m_ranked.size()) {
    workspace().view().select(pick(workspace().view().selection(),
                                   m_ranked[static_cast<std::size_t>(row)], pick_of(modifiers),
                                   m_ranked));
  }
}

void RetrievalPage::pick_point(const PointRef& point) {
  if (const auto token = id_of(*m_scores->chart(), point)) {
    Selection selection = workspace().view().selection();
    selection.tokens = TokenRange{*token, *token + 1};
    workspace().view().select(std::move(selection));
  }
}

}  // namespace kvsieve::gui
