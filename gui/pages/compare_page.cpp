#include "pages/compare_page.h"

#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <utility>

#include "kvsieve/sim/number_text.h"
#include "widgets/copy_cells.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

const QString kComparing = QStringLiteral("Comparing");
constexpr std::size_t kShownPoints = 1000;
constexpr int kMostRows = 14;  // of a table before it scrolls
enum Column { kName, kBefore, kAfter, kChange, kRelative, kVerdict, kOrigin };

QLabel* heading(const QString& text) {
  auto* label = new QLabel(text);
  QFont font = label->font();
  font.setBold(true);
  label->setFont(font);
  label->setTextFormat(Qt::PlainText);
  label->setWordWrap(true);
  return label;
}

QTableWidgetItem* cell(const QString& text, bool number = false) {
  auto* item = new QTableWidgetItem(text);
  item->setTextAlignment(Qt::AlignVCenter | (number ? Qt::AlignRight : Qt::AlignLeft));
  return item;
}

/// The change with its sign as a glyph and a colour that says better or worse.
void fill_change(QTableWidget* table, int row, const DeltaValue& value, const MetricInfo& info,
                 int column) {
  const auto difference = value.difference();
  const Verdict verdict = verdict_of(value, info);
  QTableWidgetItem* change = cell(
      difference ? sign_glyph(*difference) + " " + difference_text(*difference, info) : QString(),
      true);
  QTableWidgetItem* relative = cell(relative_text(value), true);
  QTableWidgetItem* word = cell(name_of(verdict));
  if (verdict == Verdict::kBetter || verdict == Verdict::kWorse) {
    const QColor colour =
        ink(verdict == Verdict::kBetter ? sim::Ink::kAccent : sim::Ink::kWarm, table->palette());
    for (QTableWidgetItem* item : {change, relative, word}) {
      item->setForeground(colour);
    }
  }
  if (difference) {
    change->setToolTip(info.exact(*difference));
  }
  table->setItem(row, column, change);
  table->setItem(row, column + 1, relative);
  table->setItem(row, column + 2, word);
}

/// As tall as its rows, up to a limit.
void fit_rows(QTableWidget* table) {
  table->resizeColumnsToContents();
  const int rows = std::clamp(table->rowCount(), 1, kMostRows);
  const int height = table->horizontalHeader()->sizeHint().height() +
                     rows * table->verticalHeader()->defaultSectionSize() +
                     2 * table->frameWidth() + 4;
  table->setFixedHeight(height);
}

QString number(std::size_t count) {
  return QString::fromStdString(sim::grouped(static_cast<std::int64_t>(count)));
}

/// Values of both sides for a chart of changes: absent where one lacks them. Charts want values in
/// their unit.
sim::Values changes(const std::vector<std::pair<std::int64_t, DeltaValue>>& values,
                    const MetricInfo& info) {
  sim::Values list;
  for (const auto& [place, value] : values) {
    const auto difference = value.difference();
    list.push_back(difference ? std::optional(*difference * info.scale) : std::nullopt);
  }
  return list;
}

}  // namespace

ComparePage::ComparePage(Workspace& workspace)
    : Page(QStringLiteral("compare"), QStringLiteral("Compare"), workspace),
      m_empty(new QLabel(QStringLiteral("Open two runs or two sweep stores to compare them: the "
                                        "last one is shown, the one before "
                                        "is its baseline."))),
      m_content(new QWidget),
      m_baseline(new QComboBox),
      m_shown(new QLabel),
      m_swap(new QPushButton(QStringLiteral("Swap"))),
      m_summary(new QLabel),
      m_set_up_title(heading(QStringLiteral("Different set-up"))),
      m_set_up(make_table(
          QStringLiteral("compare.set_up"), QStringLiteral("Different set-up"),
          {QStringLiteral("what"), QStringLiteral("baseline"), QStringLiteral("shown")})),
      m_missing_title(heading(QStringLiteral("On one side alone"))),
      m_missing(make_table(QStringLiteral("compare.missing"), QStringLiteral("On one side alone"),
                           {QStringLiteral("what"), QStringLiteral("only in")})),
      m_map(new DeltaMapView(workspace)),
      m_layers(new ChartView(QStringLiteral("compare.layers"), QStringLiteral("Change by layer"),
                             workspace)),
      m_steps(new ChartView(QStringLiteral("compare.steps"),
                            QStringLiteral("Change by decode step"), workspace)) {
  m_empty->setAlignment(Qt::AlignCenter);
  m_empty->setWordWrap(true);
  m_empty->setObjectName(QStringLiteral("compare.empty"));
  m_summary->setObjectName(QStringLiteral("compare.summary"));
  m_summary->setWordWrap(true);
  m_run_part = make_run_part();
  m_sweep_part = make_sweep_part();
  auto* content = new QVBoxLayout(m_content);
  content->setContentsMargins(0, 0, 0, 0);
  content->addWidget(make_head());
  content->addWidget(m_summary);
  content->addWidget(m_set_up_title);
  content->addWidget(m_set_up);
  content->addWidget(m_run_part);
  content->addWidget(m_sweep_part);
  content->addWidget(m_missing_title);
  content->addWidget(m_missing);
  content->addStretch();
  column().addWidget(m_empty);
  column().addWidget(m_content);
  connect(&workspace, &Workspace::files_changed, this, &ComparePage::fill_baselines);
  connect(&workspace, &Workspace::run_changed, this, &ComparePage::compare);
  connect(&workspace, &Workspace::baseline_changed, this, &ComparePage::compare);
  connect(&workspace, &Workspace::sweep_changed, this, &ComparePage::compare);
  compare();
}

ComparePage::~ComparePage() {
  workspace().jobs().cancel(kComparing);
}

QTableWidget* ComparePage::make_table(const QString& id, const QString& name,
                                      const QStringList& columns) {
  auto* table = new QTableWidget(0, static_cast<int>(columns.size()));
  table->setObjectName(id);
  table->setAccessibleName(name);
  table->setHorizontalHeaderLabels(columns);
  table->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table->setAlternatingRowColors(true);
  table->verticalHeader()->hide();
  table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
  table->horizontalHeader()->setStretchLastSection(true);
  table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  copy_cells_with_shortcut(table);
  return table;
}

QWidget* ComparePage::make_head() {
  m_baseline->setObjectName(QStringLiteral("compare.baseline"));
  m_baseline->setAccessibleName(QStringLiteral("Baseline"));
  m_baseline->setToolTip(QStringLiteral("What the shown run or sweep is compared with"));
  m_baseline->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  m_baseline->setMinimumContentsLength(24);
  m_shown->setObjectName(QStringLiteral("compare.shown"));
  m_shown->setTextFormat(Qt::PlainText);
  m_swap->setObjectName(QStringLiteral("compare.swap"));
  m_swap->setToolTip(QStringLiteral("The baseline becomes what is shown, and the other way round"));
  auto* head = new QWidget;
  auto* row = new QHBoxLayout(head);
  row->setContentsMargins(0, 0, 0, 0);
  auto* label = new QLabel(QStringLiteral("&Baseline"));
  label->setBuddy(m_baseline);
  row->addWidget(label);
  row->addWidget(m_baseline, 1);
  row->addWidget(m_swap);
  row->addWidget(m_shown, 1);
  connect(m_swap, &QPushButton::clicked, &workspace(), &Workspace::swap_compared);
  connect(m_baseline, &QComboBox::activated, this, &ComparePage::choose_baseline);
  return head;
}

QWidget* ComparePage::make_run_part() {
  m_figures =
      make_table(QStringLiteral("compare.figures"), QStringLiteral("Changes of the whole"),
                 {QStringLiteral("figure"), QStringLiteral("baseline"), QStringLiteral("shown"),
                  QStringLiteral("change"), QStringLiteral("relative"), QStringLiteral("verdict"),
                  QStringLiteral("origin")});
  m_figure = new QComboBox;
  m_figure->setObjectName(QStringLiteral("compare.figure"));
  m_figure->setAccessibleName(QStringLiteral("Figure of heads, layers and steps"));
  m_figure->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_relative = new QCheckBox(QStringLiteral("relative"));
  m_relative->setObjectName(QStringLiteral("compare.relative"));
  m_relative->setToolTip(QStringLiteral("Changes of heads as shares of the baseline's values"));
  connect(m_figure, &QComboBox::currentTextChanged, this, &ComparePage::show_figure);
  connect(m_relative, &QCheckBox::toggled, this, &ComparePage::show_figure);
  auto* part = new QWidget;
  auto* column = new QVBoxLayout(part);
  column->setContentsMargins(0, 0, 0, 0);
  column->addWidget(heading(QStringLiteral("Changes of the whole, the worst first")));
  column->addWidget(m_figures);
  auto* choice = new QHBoxLayout;
  auto* label = new QLabel(QStringLiteral("&Figure"));
  label->setBuddy(m_figure);
  choice->addWidget(label);
  choice->addWidget(m_figure);
  choice->addWidget(m_relative);
  choice->addStretch();
  column->addLayout(choice);
  column->addWidget(add_plot(m_map));
  auto* charts = new QHBoxLayout;
  for (ChartView* chart : {m_layers, m_steps}) {
    PlotFrame* frame = add_plot(chart);
    frame->setMinimumHeight(260);
    charts->addWidget(frame, 1);
  }
  column->addLayout(charts);
  return part;
}

QWidget* ComparePage::make_sweep_part() {
  m_metrics =
      make_table(QStringLiteral("compare.metrics"), QStringLiteral("Changes of metrics"),
                 {QStringLiteral("metric"), QStringLiteral("points"), QStringLiteral("better"),
                  QStringLiteral("worse"), QStringLiteral("differ"), QStringLiteral("mean change"),
                  QStringLiteral("worst change"), QStringLiteral("of that"),
                  QStringLiteral("verdict"), QStringLiteral("worst point")});
  m_metric = new QComboBox;
  m_metric->setObjectName(QStringLiteral("compare.metric"));
  m_metric->setAccessibleName(QStringLiteral("Metric of the points"));
  m_metric->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  connect(m_metric, &QComboBox::currentTextChanged, this, &ComparePage::show_sweep_metric);
  m_points =
      make_table(QStringLiteral("compare.points"), QStringLiteral("Changes of points"),
                 {QStringLiteral("point"), QStringLiteral("baseline"), QStringLiteral("shown"),
                  QStringLiteral("change"), QStringLiteral("relative"), QStringLiteral("verdict")});
  connect(m_points, &QTableWidget::itemSelectionChanged, this, [this] {
    Selection selection = this->workspace().view().selection();
    selection.points.clear();
    for (const QModelIndex& index : m_points->selectionModel()->selectedIndexes()) {
      selection.points.push_back(
          m_points->item(index.row(), kName)->data(Qt::UserRole).toLongLong());
    }
    std::sort(selection.points.begin(), selection.points.end());
    selection.points.erase(std::unique(selection.points.begin(), selection.points.end()),
                           selection.points.end());
    if (!m_filling) {
      this->workspace().view().select(std::move(selection));
    }
  });
  auto* part = new QWidget;
  auto* column = new QVBoxLayout(part);
  column->setContentsMargins(0, 0, 0, 0);
  column->addWidget(heading(QStringLiteral("Changes of metrics, the worst first")));
  column->addWidget(m_metrics);
  auto* choice = new QHBoxLayout;
  auto* label = new QLabel(QStringLiteral("Points by the change of &metric"));
  label->setBuddy(m_metric);
  choice->addWidget(label);
  choice->addWidget(m_metric);
  choice->addStretch();
  column->addLayout(choice);
  column->addWidget(m_points);
  return part;
}

bool ComparePage::compares_sweeps() const {
  const bool runs = workspace().run() && workspace().baseline();
  return !runs && workspace().sweep() && workspace().baseline_sweep();
}

void ComparePage::fill_baselines() {
  m_filling = true;
  m_baseline->clear();
  const bool sweeps = compares_sweeps();
  for (std::size_t i = 0; i < workspace().files().size(); ++i) {
    const OpenedFile& file = workspace().files()[i];
    const bool fits = sweeps ? file.sweep && file.sweep != workspace().sweep()
                             : file.run && file.run != workspace().run();
    if (!fits) {
      continue;
    }
    const QString name =
        sweeps ? file.sweep->name()
               : QStringLiteral("%1 (%2)").arg(file.run->name(),
                                               QString::fromStdString(file.run->view().label()));
    m_baseline->addItem(name, QVariant::fromValue(static_cast<qulonglong>(i)));
    m_baseline->setItemData(m_baseline->count() - 1, file.path, Qt::ToolTipRole);
    const bool current =
        sweeps ? file.sweep == workspace().baseline_sweep() : file.run == workspace().baseline();
    if (current) {
      m_baseline->setCurrentIndex(m_baseline->count() - 1);
    }
  }
  m_filling = false;
}

void ComparePage::choose_baseline(int index) {
  const std::size_t file = m_baseline->itemData(index).toULongLong();
  if (file >= workspace().files().size()) {
    return;
  }
  const OpenedFile& opened = workspace().files()[file];
  if (opened.sweep) {
    workspace().show_sweeps(workspace().sweep(), opened.sweep);
  } else {
    workspace().set_baseline(opened.run);
  }
}

void ComparePage::compare() {
  const bool sweeps = compares_sweeps();
  const bool runs = workspace().run() && workspace().baseline();
  m_empty->setVisible(!sweeps && !runs);
  m_content->setVisible(sweeps || runs);
  m_run_part->setVisible(runs);
  m_sweep_part->setVisible(sweeps);
  fill_baselines();
  if (!sweeps && !runs) {
    workspace().jobs().cancel(kComparing);
    m_run_delta.reset();
    m_sweep_delta.reset();
    m_map->clear(m_empty->text());
    m_layers->clear(m_empty->text());
    m_steps->clear(m_empty->text());
    return;
  }
  if (runs) {
    m_shown->setText(QStringLiteral("Shown: %1 (%2)")
                         .arg(workspace().run()->name(),
                              QString::fromStdString(workspace().run()->view().label())));
    workspace().jobs().start(kComparing, [this, run = workspace().run(),
                                          baseline = workspace().baseline()](const JobControl&) {
      auto delta = std::make_shared<const RunDelta>(*baseline, *run);
      return [this, delta] {
        m_run_delta = delta;
        show_run_delta();
      };
    });
    return;
  }
  m_shown->setText(QStringLiteral("Shown: ") + workspace().sweep()->name());
  // Rows that come faster than they are compared must not keep the page from showing any.
  if (workspace().jobs().is_running(kComparing)) {
    m_rows_waiting = true;
    return;
  }
  workspace().jobs().start(
      kComparing, [this, sweep = workspace().sweep(),
                   baseline = workspace().baseline_sweep()](const JobControl& control) {
        auto delta = std::make_shared<const SweepDelta>(baseline, sweep, control);
        return [this, delta] {
          m_sweep_delta = delta;
          show_sweep_delta();
          if (std::exchange(m_rows_waiting, false)) {
            compare();
          }
        };
      });
}

void ComparePage::show_set_up(const std::vector<SetUpDelta>& deltas) {
  m_set_up_title->setText(deltas.empty() ? QStringLiteral("The set-up is the same")
                                         : QStringLiteral("Different set-up"));
  m_set_up->setVisible(!deltas.empty());
  m_set_up->setRowCount(static_cast<int>(deltas.size()));
  for (int row = 0; row < m_set_up->rowCount(); ++row) {
    const SetUpDelta& delta = deltas[static_cast<std::size_t>(row)];
    const auto shown = [](const QString& text) {
      return text.isEmpty() ? QStringLiteral("none") : text;
    };
    m_set_up->setItem(row, 0, cell(delta.name));
    m_set_up->setItem(row, 1, cell(shown(delta.baseline)));
    m_set_up->setItem(row, 2, cell(shown(delta.shown)));
  }
  fit_rows(m_set_up);
}

void ComparePage::show_missing(const std::vector<MissingItem>& items) {
  m_missing_title->setText(items.empty()
                               ? QStringLiteral("Nothing is missing on either side")
                               : QStringLiteral("On one side alone: %1 items").arg(items.size()));
  m_missing->setVisible(!items.empty());
  m_missing->setRowCount(static_cast<int>(items.size()));
  for (int row = 0; row < m_missing->rowCount(); ++row) {
    const MissingItem& item = items[static_cast<std::size_t>(row)];
    m_missing->setItem(row, 0, cell(item.what));
    m_missing->setItem(
        row, 1, cell(item.in_baseline ? QStringLiteral("baseline") : QStringLiteral("shown")));
  }
  fit_rows(m_missing);
}

void ComparePage::show_run_delta() {
  const RunDelta& delta = *m_run_delta;
  show_set_up(delta.set_up());
  show_missing(delta.missing());
  std::size_t better = 0;
  std::size_t worse = 0;
  m_figures->setRowCount(static_cast<int>(delta.figures().size()));
  for (int row = 0; row < m_figures->rowCount(); ++row) {
    const FigureDelta& figure = delta.figures()[static_cast<std::size_t>(row)];
    const Verdict verdict = verdict_of(figure.value, figure.info);
    better += verdict == Verdict::kBetter ? 1 : 0;
    worse += verdict == Verdict::kWorse ? 1 : 0;
    QTableWidgetItem* name = cell(figure.name);
    name->setToolTip(figure.info.meaning);
    m_figures->setItem(row, kName, name);
    m_figures->setItem(row, kBefore, cell(figure.info.text(*figure.value.baseline), true));
    m_figures->setItem(row, kAfter, cell(figure.info.text(*figure.value.shown), true));
    m_figures->item(row, kBefore)->setToolTip(figure.info.exact(*figure.value.baseline));
    m_figures->item(row, kAfter)->setToolTip(figure.info.exact(*figure.value.shown));
    fill_change(m_figures, row, figure.value, figure.info, kChange);
    m_figures->setItem(row, kOrigin, cell(figure.info.origin));
  }
  fit_rows(m_figures);
  m_summary->setText(QStringLiteral("%1 of %2 figures are better, %3 worse.")
                         .arg(number(better), number(delta.figures().size()), number(worse)));
  const QString chosen = m_figure->currentText();
  m_filling = true;
  m_figure->clear();
  QStringList figures = delta.head_figures();
  for (const QStringList& more : {delta.layer_figures(), delta.step_figures()}) {
    for (const QString& figure : more) {
      if (!figures.contains(figure)) {
        figures << figure;
      }
    }
  }
  m_figure->addItems(figures);
  const auto index = [&](const QString& name) { return m_figure->findText(name); };
  m_figure->setCurrentIndex(!chosen.isEmpty() && index(chosen) >= 0 ? index(chosen)
                            : index("evicted_mass") >= 0            ? index("evicted_mass")
                            : index("recall") >= 0                  ? index("recall")
                                                                    : 0);
  m_filling = false;
  show_figure();
}

void ComparePage::show_figure() {
  if (m_filling || !m_run_delta) {
    return;
  }
  const QString figure = m_figure->currentText();
  const QString bare = figure.section('/', figure.startsWith("query_heads/") ? 1 : 0);
  const MetricInfo info = metric_info(bare.toStdString());
  const QString none = QStringLiteral("Not both runs have %1 of ").arg(bare);
  if (m_run_delta->head_figures().contains(figure)) {
    m_map->set_map(m_run_delta->head_map(figure), figure, info, m_relative->isChecked());
  } else {
    m_map->clear(none + "heads: choose another figure");
  }
  const QString origin = info.origin;
  const QString note =
      QStringLiteral("Shown minus baseline; %1.")
          .arg(!info.best ? QStringLiteral("neither direction is better")
               : *info.best == sim::ParetoDirection::kMax ? QStringLiteral("above 0 is better")
                                                          : QStringLiteral("below 0 is better"));
  if (m_run_delta->layer_figures().contains(bare)) {
    const auto values = m_run_delta->by_layer(bare);
    sim::BarChart chart;
    chart.category_name = "layer";
    chart.unit = info.unit;
    for (const auto& [layer, value] : values) {
      chart.categories.push_back(std::to_string(layer));
    }
    // Better and worse ones are two series of one stack: a colour and a name each.
    const auto only = [&](bool (*wanted)(Verdict, double)) {
      sim::Values list = changes(values, info);
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i] && !wanted(verdict_of(values[i].second, info), *list[i])) {
          list[i].reset();
        }
      }
      return list;
    };
    chart.stacked = true;
    if (info.best) {
      chart.series.push_back(
          {"better", only([](Verdict verdict, double) { return verdict == Verdict::kBetter; }),
           sim::Ink::kAccent});
      chart.series.push_back(
          {"worse", only([](Verdict verdict, double) { return verdict == Verdict::kWorse; }),
           sim::Ink::kWarm});
    } else {
      chart.series.push_back({"smaller", only([](Verdict, double change) { return change < 0.0; }),
                              sim::Ink::kAccent});
      chart.series.push_back(
          {"larger", only([](Verdict, double change) { return change >= 0.0; }), sim::Ink::kWarm});
    }
    m_layers->set_chart(chart, origin, note);
  } else {
    m_layers->clear(none + "layers");
  }
  if (m_run_delta->step_figures().contains(bare)) {
    const auto values = m_run_delta->by_step(bare);
    sim::LineChart chart;
    chart.x_name = "decode step";
    chart.unit = info.unit;
    for (const auto& [step, value] : values) {
      chart.x.push_back(static_cast<double>(step));
    }
    chart.series.push_back({"change of " + bare.toStdString(), changes(values, info)});
    m_steps->set_chart(chart, origin, note);
  } else {
    m_steps->clear(none + "steps");
  }
}

void ComparePage::show_sweep_delta() {
  const SweepDelta& delta = *m_sweep_delta;
  show_set_up(delta.set_up());
  show_missing(delta.missing());
  m_summary->setText(QStringLiteral("%1 points are in both, %2 in the baseline alone, %3 in the "
                                    "shown sweep alone; %4 failed on one side.")
                         .arg(number(delta.pairs().size()), number(delta.only_baseline().size()),
                              number(delta.only_shown().size()),
                              number(delta.failed_once().size())));
  m_metrics->setRowCount(static_cast<int>(delta.metrics().size()));
  for (int row = 0; row < m_metrics->rowCount(); ++row) {
    const MetricChange& change = delta.metrics()[static_cast<std::size_t>(row)];
    QTableWidgetItem* name = cell(change.name);
    name->setToolTip(change.info.meaning);
    m_metrics->setItem(row, 0, name);
    m_metrics->setItem(row, 1, cell(number(change.points), true));
    m_metrics->setItem(row, 2, cell(number(change.better), true));
    m_metrics->setItem(row, 3, cell(number(change.worse), true));
    m_metrics->setItem(row, 4, cell(number(change.other), true));
    m_metrics->setItem(row, 5, cell(relative_text({1.0, 1.0 + change.mean_relative}), true));
    fill_change(m_metrics, row, change.worst, change.info, 6);
    m_metrics->setItem(row, 9, cell(delta.shown().label(change.worst_row)));
  }
  fit_rows(m_metrics);
  const QString chosen = m_metric->currentText();
  m_filling = true;
  m_metric->clear();
  for (const MetricChange& change : delta.metrics()) {
    m_metric->addItem(change.name);
  }
  m_metric->setCurrentIndex(std::max(0, chosen.isEmpty() ? 0 : m_metric->findText(chosen)));
  m_filling = false;
  show_sweep_metric();
}

void ComparePage::show_sweep_metric() {
  if (m_filling || !m_sweep_delta) {
    return;
  }
  const SweepDelta& delta = *m_sweep_delta;
  const QString metric = m_metric->currentText();
  const MetricInfo info = metric_info(metric.toStdString());
  const std::vector<std::size_t> pairs = delta.worst_pairs(metric, kShownPoints);
  m_filling = true;
  m_points->setRowCount(static_cast<int>(pairs.size()));
  for (int row = 0; row < m_points->rowCount(); ++row) {
    const std::size_t pair = pairs[static_cast<std::size_t>(row)];
    const DeltaValue value = delta.value(pair, metric);
    const std::uint32_t shown = delta.pairs()[pair].second;
    QTableWidgetItem* name = cell(delta.shown().label(shown));
    name->setData(Qt::UserRole,
                  QVariant::fromValue(static_cast<qlonglong>(delta.shown().number(shown))));
    m_points->setItem(row, kName, name);
    m_points->setItem(row, kBefore, cell(info.text(*value.baseline), true));
    m_points->setItem(row, kAfter, cell(info.text(*value.shown), true));
    fill_change(m_points, row, value, info, kChange);
  }
  fit_rows(m_points);
  m_filling = false;
}

}  // namespace kvsieve::gui
