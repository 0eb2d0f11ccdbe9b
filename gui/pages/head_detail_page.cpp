#include "pages/head_detail_page.h"

#include <QFileInfo>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QKeyEvent>
#include <QSignalBlocker>
#include <algorithm>

#include "core/dropped_mass.h"
#include "core/qt_text.h"
#include "core/trace_lookup.h"
#include "widgets/copy_cells.h"

namespace kvsieve::gui {
namespace {

const QString kAttentionJob = QStringLiteral("Attention of a head");
const QString kMatchJob = QStringLiteral("Comparing trace and run");
const QString kFindJob = QStringLiteral("Looking for the run's trace");
const QString kNothing = QStringLiteral(
    "Nothing to show. Open a trace or a run, or both: a run alone shows what each head keeps, its "
    "trace adds where the head looks.");

constexpr std::int64_t kBuckets = 24;
constexpr std::size_t kHeaviest = 50;
constexpr std::size_t kMostTracks = 12;

QString number(double value, sim::Unit unit) {
  return qs(sim::number_text(value, unit));
}

QString grouped(std::int64_t value) {
  return qs(sim::grouped(value));
}

}  // namespace

HeadDetailPage::HeadDetailPage(Workspace& workspace)
    : Page(QStringLiteral("head-detail"), QStringLiteral("Head detail"), workspace),
      m_previous(new QToolButton),
      m_next(new QToolButton),
      m_head(new QComboBox),
      m_step(new QSpinBox),
      m_log(new QCheckBox(QStringLiteral("Lo&g attention"))),
      m_facts(new QLabel),
      m_hint_row(new QWidget),
      m_hint(new QLabel),
      m_open_trace(new QPushButton),
      m_strip(new TokenStripView(QStringLiteral("head-detail.tokens"),
                                 QStringLiteral("Tokens along the context"), workspace)),
      m_buckets(new ChartView(QStringLiteral("head-detail.mass"),
                              QStringLiteral("Attention mass along the context"), workspace)),
      m_dropped(new QTableWidget),
      m_dropped_title(new QLabel) {
  make_controls();
  column().addWidget(add_plot(m_strip), 3);
  auto* lower = new QHBoxLayout;
  lower->addWidget(add_plot(m_buckets), 3);
  auto* list = new QVBoxLayout;
  list->addWidget(m_dropped_title);
  list->addWidget(m_dropped, 1);
  lower->addLayout(list, 2);
  column().addLayout(lower, 2);
  constexpr int kLowerHeight = 220;
  m_buckets->setMinimumHeight(kLowerHeight);

  connect(m_strip, &TokenStripView::cursor_moved, this,
          [this](std::optional<std::int64_t> position) {
            std::optional<double> marker;
            if (position && !m_bucket_begins.empty()) {
              const auto after =
                  std::upper_bound(m_bucket_begins.begin(), m_bucket_begins.end(), *position);
              marker = static_cast<double>(after - m_bucket_begins.begin() - 1);
            }
            m_buckets->set_marker(marker);
          });
  connect(m_buckets, &ChartView::picked, this, [this](int index) {
    const auto at = static_cast<std::size_t>(index);
    if (at < m_bucket_begins.size()) {
      Selection selection = this->workspace().view().selection();
      const bool last = at + 1 == m_bucket_begins.size();
      selection.tokens =
          TokenRange{m_bucket_begins[at], last ? m_strip->data().tokens : m_bucket_begins[at + 1]};
      this->workspace().view().select(std::move(selection));
    }
  });
  connect(&workspace, &Workspace::run_changed, this, &HeadDetailPage::files_changed);
  connect(&workspace, &Workspace::trace_changed, this, &HeadDetailPage::files_changed);
  connect(&workspace.view(), &ViewStack::selection_changed, this, &HeadDetailPage::refresh);
  files_changed();
}

void HeadDetailPage::make_controls() {
  m_previous->setText(QStringLiteral("‹"));
  m_previous->setToolTip(QStringLiteral("Previous head ([)"));
  m_previous->setAccessibleName(QStringLiteral("Previous head"));
  m_next->setText(QStringLiteral("›"));
  m_next->setToolTip(QStringLiteral("Next head (])"));
  m_next->setAccessibleName(QStringLiteral("Next head"));
  m_head->setObjectName(QStringLiteral("head-detail.head"));
  m_head->setAccessibleName(QStringLiteral("Head"));
  m_head->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  constexpr int kNameLength = 20;
  m_head->setMinimumContentsLength(kNameLength);
  m_step->setObjectName(QStringLiteral("head-detail.step"));
  m_step->setAccessibleName(QStringLiteral("Decode step"));
  m_step->setSpecialValueText(QStringLiteral("mean over all"));
  m_step->setMinimum(-1);
  m_step->setKeyboardTracking(false);
  m_log->setObjectName(QStringLiteral("head-detail.log"));
  m_log->setChecked(true);
  m_facts->setObjectName(QStringLiteral("head-detail.facts"));
  m_hint->setObjectName(QStringLiteral("head-detail.hint"));
  for (QLabel* label : {m_facts, m_hint}) {
    label->setTextFormat(Qt::PlainText);
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  }
  m_open_trace->setObjectName(QStringLiteral("head-detail.open_trace"));
  m_dropped->setObjectName(QStringLiteral("head-detail.dropped"));
  m_dropped->setAccessibleName(QStringLiteral("Heaviest dropped tokens"));
  m_dropped->setEditTriggers(QAbstractItemView::NoEditTriggers);
  m_dropped->setSelectionBehavior(QAbstractItemView::SelectRows);
  m_dropped->setAlternatingRowColors(true);
  m_dropped->setTabKeyNavigation(false);
  m_dropped->setCornerButtonEnabled(false);
  m_dropped->verticalHeader()->setDefaultSectionSize(m_dropped->fontMetrics().height() + 6);
  copy_cells_with_shortcut(m_dropped);
  QFont bold = m_dropped_title->font();
  bold.setBold(true);
  m_dropped_title->setFont(bold);
  m_dropped_title->setTextFormat(Qt::PlainText);

  auto* row = new QHBoxLayout;
  auto* head_label = new QLabel(QStringLiteral("&Head"));
  head_label->setBuddy(m_head);
  auto* step_label = new QLabel(QStringLiteral("Decode &step"));
  step_label->setBuddy(m_step);
  row->addWidget(head_label);
  row->addWidget(m_previous);
  row->addWidget(m_head);
  row->addWidget(m_next);
  row->addSpacing(16);
  row->addWidget(step_label);
  row->addWidget(m_step);
  row->addSpacing(16);
  row->addWidget(m_log);
  row->addStretch();
  column().addLayout(row);
  column().addWidget(m_facts);
  auto* hint = new QHBoxLayout(m_hint_row);
  hint->setContentsMargins(0, 0, 0, 0);
  hint->addWidget(m_hint, 1);
  hint->addWidget(m_open_trace);
  column().addWidget(m_hint_row);

  connect(m_previous, &QToolButton::clicked, this, &HeadDetailPage::previous_head);
  connect(m_next, &QToolButton::clicked, this, &HeadDetailPage::next_head);
  connect(m_head, &QComboBox::activated, this, [this](int index) {
    if (index >= 0 && static_cast<std::size_t>(index) < m_heads.size()) {
      ViewStack& view = workspace().view();
      view.select(pick(view.selection(), m_heads[static_cast<std::size_t>(index)], Pick::kReplace,
                       m_heads));
    }
  });
  connect(m_step, &QSpinBox::valueChanged, this, [this](int step) {
    Selection selection = workspace().view().selection();
    selection.step = step >= 0 ? std::optional<std::int64_t>(step) : std::nullopt;
    workspace().view().select(std::move(selection));
  });
  connect(m_log, &QCheckBox::toggled, m_strip, &TokenStripView::set_log);
  connect(m_open_trace, &QPushButton::clicked, this, [this] { workspace().add({m_found_trace}); });
  connect(m_dropped, &QTableWidget::itemSelectionChanged, this, [this] {
    const auto rows = m_dropped->selectionModel()->selectedRows();
    if (!rows.isEmpty()) {
      const std::int64_t position =
          m_dropped->item(rows.front().row(), 0)->data(Qt::UserRole).toLongLong();
      Selection selection = workspace().view().selection();
      selection.tokens = TokenRange{position, position + 1};
      workspace().view().select(std::move(selection));
      m_strip->set_cursor(position);
    }
  });
}

bool HeadDetailPage::query_heads() const {
  return workspace().run() && workspace().run()->view().unit_name == "query head";
}

bool HeadDetailPage::uses_trace() const {
  return workspace().trace() && (!workspace().run() || m_match == Match::kSame);
}

std::int64_t HeadDetailPage::steps() const {
  if (workspace().run()) {
    return workspace().run()->view().trace.decode_steps;
  }
  return workspace().trace() ? workspace().trace()->header().decode_tokens : 0;
}

std::vector<HeadId> HeadDetailPage::list_heads() const {
  std::vector<HeadId> all;
  if (const auto& run = workspace().run()) {
    for (const sim::LayerView& layer : run->view().layers) {
      std::int64_t counted = 0;
      for (const sim::Node& head : layer.heads) {
        all.push_back({layer.layer, head.integer_or("head", counted++)});
      }
    }
  } else if (const auto& trace = workspace().trace()) {
    for (const std::int64_t layer : trace->header().captured_layers) {
      for (std::int64_t head = 0; head < trace->header().model.kv_heads; ++head) {
        all.push_back({layer, head});
      }
    }
  }
  return all;
}

std::optional<HeadId> HeadDetailPage::shown_head() const {
  const std::optional<HeadId>& current = workspace().view().selection().current;
  if (current && std::find(m_heads.begin(), m_heads.end(), *current) != m_heads.end()) {
    return current;
  }
  return m_heads.empty() ? std::nullopt : std::optional(m_heads.front());
}

QString HeadDetailPage::name_of(const HeadId& head) const {
  const QString unit =
      workspace().run() ? qs(workspace().run()->view().unit_name) : QStringLiteral("KV head");
  return QStringLiteral("layer %1, %2 %3").arg(head.layer).arg(unit).arg(head.head);
}

const sim::Node* HeadDetailPage::node_of(const HeadId& head) const {
  if (!workspace().run()) {
    return nullptr;
  }
  for (const sim::LayerView& layer : workspace().run()->view().layers) {
    if (layer.layer != head.layer) {
      continue;
    }
    std::int64_t counted = 0;
    for (const sim::Node& node : layer.heads) {
      if (node.integer_or("head", counted++) == head.head) {
        return &node;
      }
    }
  }
  return nullptr;
}

std::vector<sim::TokenRun> HeadDetailPage::dropped_of(const HeadId& head) const {
  const sim::Node* node = node_of(head);
  if (node == nullptr || !node->json().contains("kept_runs")) {
    return {};
  }
  const std::int64_t prompt = workspace().run()->view().trace.prompt_tokens;
  return dropped_runs(sim::kept_runs(*node, prompt), prompt);
}

void HeadDetailPage::files_changed() {
  m_found_trace.clear();
  m_failure.clear();
  m_match = Match::kUnknown;
  if (m_attention && m_attention->trace != workspace().trace()) {
    m_attention.reset();
  }
  workspace().jobs().cancel(kFindJob);
  workspace().jobs().cancel(kMatchJob);
  m_heads = list_heads();
  QStringList names;
  for (const HeadId& head : m_heads) {
    names << name_of(head);
  }
  {
    const QSignalBlocker blocker(m_head);
    m_head->clear();
    m_head->addItems(names);
  }
  {
    const QSignalBlocker blocker(m_step);
    m_step->setMaximum(static_cast<int>(std::max<std::int64_t>(0, steps() - 1)));
    m_step->setEnabled(steps() > 0);
  }
  if (workspace().run() && workspace().trace()) {
    check_trace();
  } else if (workspace().run()) {
    look_for_trace();
  }
  refresh();
}

void HeadDetailPage::check_trace() {
  const std::string wanted = workspace().run()->view().trace.hash;
  const std::shared_ptr<const traces::Trace> trace = workspace().trace();
  if (workspace().run()->path().isEmpty() &&
      workspace().run()->view().document.child("trace")->text("path") == trace->path().string()) {
    m_match = Match::kSame;  // computed here, from this trace
    return;
  }
  if (m_hashed == trace) {
    m_match = m_hash == wanted ? Match::kSame : Match::kOther;
    if (m_match == Match::kOther) {
      look_for_trace();
    }
    return;
  }
  workspace().jobs().start(kMatchJob, [this, trace](const JobControl& control) -> Jobs::Delivery {
    const std::string hash = trace->hash();
    control.check();
    return [this, trace, hash] {
      m_hashed = trace;
      m_hash = hash;
      if (workspace().trace() == trace && workspace().run()) {
        check_trace();
        refresh();
      }
    };
  });
}

void HeadDetailPage::look_for_trace() {
  const std::shared_ptr<const Run> run = workspace().run();
  workspace().jobs().start(kFindJob, [this, run](const JobControl& control) -> Jobs::Delivery {
    const std::optional<QString> found = find_trace(*run, control);
    return [this, run, found] {
      if (workspace().run() == run) {
        m_found_trace = found.value_or(QString());
        show_hint();
      }
    };
  });
}

void HeadDetailPage::refresh() {
  const std::optional<HeadId> head = shown_head();
  const Selection& selection = workspace().view().selection();
  for (QWidget* control : std::initializer_list<QWidget*>{m_previous, m_next, m_head}) {
    control->setEnabled(head.has_value());
  }
  {
    const QSignalBlocker blocker(m_step);
    m_step->setValue(selection.step ? static_cast<int>(*selection.step) : -1);
  }
  if (head) {
    const QSignalBlocker blocker(m_head);
    m_head->setCurrentIndex(
        static_cast<int>(std::find(m_heads.begin(), m_heads.end(), *head) - m_heads.begin()));
  }
  if (head && uses_trace()) {
    Attention wanted;
    wanted.trace = workspace().trace();
    wanted.head = *head;
    wanted.query_head = query_heads();
    wanted.step = selection.step && *selection.step < steps() ? selection.step : std::nullopt;
    wanted.recipe = workspace().run() ? score_recipe(workspace().run()->view())
                                      : std::optional<ScoreRecipe>(ScoreRecipe{});
    if (!m_attention || !m_attention->is_for(wanted)) {
      m_attention.reset();
      compute(std::move(wanted));
    }
  } else {
    m_attention.reset();
    m_wanted.reset();
    workspace().jobs().cancel(kAttentionJob);
  }
  show_strip();
  show_losses();
  show_facts();
  show_hint();
}

void HeadDetailPage::compute(Attention wanted) {
  if (m_wanted && m_wanted->is_for(wanted)) {
    return;
  }
  m_wanted = wanted;
  m_failure.clear();
  workspace().jobs().start(
      kAttentionJob,
      [this, wanted](const JobControl& control) -> Jobs::Delivery {
        const AttentionRow row(*wanted.trace, wanted.head, wanted.query_head);
        control.progress(0.4);
        Attention done = wanted;
        done.decode = std::make_shared<const std::vector<float>>(
            wanted.step ? row.of_step(*wanted.step) : row.mean_over_steps(control));
        control.progress(0.7);
        if (wanted.recipe) {
          auto scores = row.scores(*wanted.recipe, control);
          done.ranks = std::make_shared<const std::vector<std::int64_t>>(score_ranks(scores));
          done.scores = std::make_shared<const std::vector<float>>(std::move(scores));
        }
        return [this, done] {
          m_wanted.reset();
          m_attention = done;
          show_strip();
          show_losses();
          show_facts();
          show_hint();
        };
      },
      [this](const Failure& failure) {
        m_wanted.reset();
        m_failure = failure.what;
        show_hint();
      });
}

void HeadDetailPage::show_strip() {
  const std::optional<HeadId> head = shown_head();
  if (!head) {
    m_strip->clear(kNothing);
    return;
  }
  TokenStrip strip;
  QString origin = QStringLiteral("captured");
  const std::shared_ptr<const Run>& run = workspace().run();
  const Selection& selection = workspace().view().selection();
  if (run) {
    const sim::RunView& view = run->view();
    origin = qs(view.origin);
    strip.prompt_tokens = view.trace.prompt_tokens;
    strip.tokens = view.trace.prompt_tokens + view.trace.decode_steps;
    strip.sinks = std::min(view.method.integer_or("sinks", 0), strip.prompt_tokens);
    strip.window_end = strip.prompt_tokens;
    strip.window = std::min(view.method.integer_or("window", 0), strip.prompt_tokens);
    if (view.family == sim::Family::kRetrieval) {
      // The window of retrieval moves along with the steps.
      strip.window_end += selection.step ? std::min(*selection.step, steps() - 1) + 1 : steps();
    }
    if (view.trace.needle) {
      strip.needle = view.trace.needle->tokens;
    }
    std::vector<HeadId> tracks{*head};
    for (const HeadId& other : selection.heads) {
      if (other != *head && node_of(other) != nullptr && tracks.size() < kMostTracks) {
        tracks.push_back(other);
      }
    }
    for (const HeadId& one : tracks) {
      const sim::Node& node = *node_of(one);
      TokenStrip::Track track{name_of(one), {}, node.json().contains("kept_runs")};
      if (track.lists_kept) {
        track.kept = sim::kept_runs(node, strip.prompt_tokens);
      }
      strip.tracks.push_back(std::move(track));
    }
  } else {
    const traces::TraceHeader& header = workspace().trace()->header();
    strip.prompt_tokens = header.prompt_tokens;
    strip.tokens = header.total_tokens();
    if (header.needle) {
      strip.needle = sim::TokenRun{header.needle->begin, header.needle->end};
    }
  }
  if (selection.step && *selection.step < steps()) {
    strip.step_position = strip.prompt_tokens + *selection.step;
  }
  QString note = QStringLiteral("From the run alone: what each head keeps of the context.");
  if (uses_trace()) {
    const auto ids = workspace().trace()->tokens();
    strip.token_ids.assign(ids.begin(), ids.end());
    note = ids.empty() ? QStringLiteral("The trace names no tokens.")
                       : QStringLiteral("Token ids only: the trace holds no text of its tokens.");
    if (strip.needle) {
      const std::string text = run && run->view().trace.needle
                                   ? run->view().trace.needle->text
                                   : workspace().trace()->header().needle->text;
      note += QStringLiteral(" The needle reads “%1”").arg(qs(text));
    }
  }
  if (m_attention) {
    const QString step = m_attention->step
                             ? QStringLiteral("at decode step %1").arg(*m_attention->step)
                             : QStringLiteral("mean over decode steps");
    if (!m_attention->decode->empty()) {
      strip.curves.push_back({QStringLiteral("attention, ") + step,
                              QStringLiteral("softmax(q·k) of the head's queries"),
                              sim::Ink::kAccent, m_attention->decode, true});
    }
    if (m_attention->scores && !m_attention->scores->empty()) {
      const ScoreRecipe& recipe = *m_attention->recipe;
      using Source = ScoreRecipe::Source;
      const bool mass = recipe.source != Source::kKeyNorm && recipe.source != Source::kRecency;
      const QString formula =
          recipe.source == Source::kKeyNorm   ? QStringLiteral("-‖k‖₂ before RoPE")
          : recipe.source == Source::kRecency ? QStringLiteral("the newest first")
          : recipe.source == Source::kLastQuery
              ? QStringLiteral("softmax(q·k) of the last prompt query, mean over all heads")
              : QStringLiteral("mean attention of observed queries, pooled %1")
                    .arg(qs(sim::name_of(recipe.pool)));
      strip.curves.push_back(
          {recipe.source == Source::kWindowAttention
               ? QStringLiteral("score: observation window, %1 queries").arg(recipe.window)
               : QStringLiteral("score, as the method ranks tokens"),
           formula, sim::Ink::kWarm, m_attention->scores, mass});
      strip.score_ranks = m_attention->ranks;
    }
  }
  m_strip->set_data(std::move(strip), origin, note);
}

void HeadDetailPage::show_losses() {
  const std::optional<HeadId> head = shown_head();
  const bool known = head && m_attention && !m_attention->decode->empty();
  Shown now{workspace().run(), head, known ? m_attention->decode : nullptr};
  if (m_shown == now) {
    return;
  }
  m_shown = std::move(now);
  const std::vector<sim::TokenRun> dropped =
      head ? dropped_of(*head) : std::vector<sim::TokenRun>{};
  m_bucket_begins.clear();
  const bool has_kept =
      head && node_of(*head) != nullptr && node_of(*head)->json().contains("kept_runs");
  const QSignalBlocker blocker(m_dropped);
  m_dropped->clear();
  m_dropped->setRowCount(0);
  m_dropped->setColumnCount(0);
  m_dropped->setVisible(known && has_kept);
  m_dropped_title->setVisible(known && has_kept);
  if (!known) {
    m_buckets->clear(head
                         ? QStringLiteral("Attention comes from the trace: open it beside the run.")
                         : kNothing);
    return;
  }
  const std::vector<float>& attention = *m_attention->decode;
  sim::BarChart chart;
  chart.category_name = "from position";
  chart.unit = sim::Unit::kShare;
  chart.stacked = true;
  sim::Series kept{has_kept ? "kept" : "attention", {}, sim::Ink::kAccent};
  sim::Series lost{"dropped", {}, sim::Ink::kWarm};
  for (const MassBucket& bucket : mass_buckets(attention, dropped, kBuckets)) {
    m_bucket_begins.push_back(bucket.begin);
    chart.categories.push_back(sim::grouped(bucket.begin));
    kept.values.emplace_back(bucket.kept);
    lost.values.emplace_back(bucket.dropped);
  }
  chart.series = {kept};
  QString note = QStringLiteral("Sums to 100% over the context");
  if (has_kept) {
    chart.series.push_back(lost);
    note +=
        QStringLiteral("; dropped %1").arg(number(mass_of(attention, dropped), sim::Unit::kShare));
  }
  m_buckets->set_chart(chart, QStringLiteral("captured"), note + '.');
  if (!has_kept) {
    return;
  }
  const std::vector<DroppedToken> heaviest = heaviest_dropped(attention, dropped, kHeaviest);
  m_dropped_title->setText(
      QStringLiteral("Heaviest dropped tokens (%1 of them)").arg(heaviest.size()));
  m_dropped->setColumnCount(4);
  m_dropped->setHorizontalHeaderLabels({QStringLiteral("position"), QStringLiteral("token id"),
                                        QStringLiteral("attention"), QStringLiteral("score rank")});
  m_dropped->setRowCount(static_cast<int>(heaviest.size()));
  const auto ids = workspace().trace()->tokens();
  for (int row = 0; row < m_dropped->rowCount(); ++row) {
    const DroppedToken& token = heaviest[static_cast<std::size_t>(row)];
    const auto at = static_cast<std::size_t>(token.position);
    const auto& ranks = m_attention->ranks;
    const QString texts[] = {grouped(token.position),
                             at < ids.size() ? QString::number(ids[at]) : QString(),
                             number(token.mass, sim::Unit::kShare),
                             ranks && at < ranks->size() ? grouped((*ranks)[at]) : QString()};
    for (int cell = 0; cell < 4; ++cell) {
      auto* item = new QTableWidgetItem(texts[cell]);
      item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
      m_dropped->setItem(row, cell, item);
    }
    m_dropped->item(row, 0)->setData(Qt::UserRole, static_cast<qlonglong>(token.position));
  }
  m_dropped->resizeColumnsToContents();
}

void HeadDetailPage::show_facts() {
  const std::optional<HeadId> head = shown_head();
  QStringList facts;
  if (head) {
    facts << name_of(*head);
  }
  const sim::Node* node = head ? node_of(*head) : nullptr;
  if (node != nullptr) {
    const sim::RunView& run = workspace().run()->view();
    struct Fact {
      const char* key;
      QString name;
      sim::Unit unit;
    };
    for (const Fact& fact :
         {Fact{"budget", QStringLiteral("budget"), sim::Unit::kTokens},
          Fact{"evicted_mass", QStringLiteral("evicted mass"), sim::Unit::kShare},
          Fact{"l1_loss", QStringLiteral("L1 loss"), sim::Unit::kNumber},
          Fact{"recall", QStringLiteral("recall@K"), sim::Unit::kShare},
          Fact{"captured_mass", QStringLiteral("captured mass"), sim::Unit::kShare},
          Fact{"union_tokens", QStringLiteral("union tokens"), sim::Unit::kTokens}}) {
      if (const std::optional<double> value = node->number(fact.key)) {
        facts << fact.name + ' ' + number(*value, fact.unit);
      }
    }
    const auto needle = node->integer("needle_kept");
    if (needle && run.trace.needle) {
      facts << QStringLiteral("needle: %1 of %2 tokens kept")
                   .arg(*needle)
                   .arg(run.trace.needle->tokens.end - run.trace.needle->tokens.begin);
    }
  }
  m_facts->setText(facts.join(QStringLiteral(" · ")));
  m_facts->setVisible(!facts.isEmpty());
}

void HeadDetailPage::show_hint() {
  QString hint;
  if (!m_failure.isEmpty()) {
    hint = m_failure;
  } else if (workspace().run() && !workspace().trace()) {
    hint = m_found_trace.isEmpty()
               ? QStringLiteral("Where the head looks is in the trace: open %1 too.")
                     .arg(qs(workspace().run()->view().trace.file))
               : QStringLiteral("Where the head looks is in the trace, which was found.");
  } else if (workspace().run() && m_match == Match::kOther) {
    hint = QStringLiteral(
        "The open trace is not the one that this run was made of (its hash is "
        "another), so no attention is shown.");
  } else if (m_wanted) {
    hint = QStringLiteral("Computing the head's attention…");
  } else if (m_match == Match::kUnknown && workspace().run() && workspace().trace()) {
    hint = QStringLiteral("Comparing the trace with the run…");
  }
  m_hint->setText(hint);
  m_hint_row->setVisible(!hint.isEmpty() || !m_found_trace.isEmpty());
  m_open_trace->setText(QStringLiteral("&Open %1").arg(QFileInfo(m_found_trace).fileName()));
  m_open_trace->setToolTip(m_found_trace);
  m_open_trace->setVisible(!m_found_trace.isEmpty());
}

void HeadDetailPage::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_BracketLeft || event->key() == Qt::Key_BracketRight) {
    step_head(event->key() == Qt::Key_BracketLeft ? -1 : 1);
  } else {
    Page::keyPressEvent(event);
  }
}

void HeadDetailPage::step_head(int by) {
  const std::optional<HeadId> head = shown_head();
  if (!head) {
    return;
  }
  const auto at = std::find(m_heads.begin(), m_heads.end(), *head) - m_heads.begin() + by;
  if (at >= 0 && at < static_cast<std::ptrdiff_t>(m_heads.size())) {
    ViewStack& view = workspace().view();
    view.select(
        pick(view.selection(), m_heads[static_cast<std::size_t>(at)], Pick::kReplace, m_heads));
  }
}

}  // namespace kvsieve::gui
