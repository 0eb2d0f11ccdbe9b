#include "pages/heads_page.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QItemSelectionModel>
#include <QSignalBlocker>
#include <QSplitter>
#include <algorithm>
#include <set>

#include "core/budget_parts.h"
#include "core/head_search.h"
#include "core/qt_text.h"
#include "kvsieve/sim/run_series.h"
#include "widgets/copy_cells.h"

namespace kvsieve::gui {
namespace {

const QString kNoRun = QStringLiteral(
    "No run is open. Open a run (kvsieve run TRACE --method ada-snapkv --output a.kvrun), or open "
    "a "
    "trace and choose a method on the What-if page.");

/// Bars beyond that many say less than the matrix.
constexpr std::size_t kMostBars = 256;

/// A label with its control behind it; the mnemonic of the label leads to the control.
void add_labelled(QHBoxLayout& row, const QString& text, QWidget* control) {
  auto* label = new QLabel(text);
  label->setBuddy(control);
  row.addWidget(label);
  row.addWidget(control);
  QString name = text;
  control->setAccessibleName(name.remove('&'));
}

std::vector<HeadId> heads_of_layer(const sim::LayerView& layer) {
  std::vector<HeadId> heads;
  for (const sim::Node& head : layer.heads) {
    heads.push_back(
        {layer.layer, head.integer_or("head", static_cast<std::int64_t>(heads.size()))});
  }
  return heads;
}

/// Where losses stand: on decode steps, or on the observation window of a trace without them.
std::string loss_prefix(const sim::RunView& run) {
  const bool decoded = run.summary("evicted_mass").has_value();
  return decoded || !run.summary("observation/evicted_mass") ? "" : "observation/";
}

}  // namespace

QVariant RankedHeads::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation == Qt::Vertical && role == Qt::DisplayRole) {
    return section + 1;
  }
  return QSortFilterProxyModel::headerData(section, orientation, role);
}

HeadsPage::HeadsPage(Workspace& workspace)
    : Page(QStringLiteral("heads"), QStringLiteral("Heads"), workspace),
      m_figure(new QComboBox),
      m_show(new QComboBox),
      m_colours(new QComboBox),
      m_clip(new QComboBox),
      m_range(new QComboBox),
      m_log(new QCheckBox(QStringLiteral("Lo&g colours"))),
      m_find(new QLineEdit),
      m_answer(new QLabel),
      m_missing(new QLabel),
      m_matrix(
          new HeadMatrixView(QStringLiteral("heads.matrix"), QStringLiteral("Heads"), workspace)),
      m_ranking(new QTableView),
      m_budgets(new ChartView(QStringLiteral("heads.budgets"),
                              QStringLiteral("Budgets of a layer's heads"), workspace)),
      m_head_losses(new ChartView(QStringLiteral("heads.losses"),
                                  QStringLiteral("L1 loss of a layer's heads"), workspace)),
      m_layer_losses(new ChartView(QStringLiteral("heads.bounds"),
                                   QStringLiteral("L1 loss of layers and its bounds"), workspace)) {
  make_controls();
  make_ranking();
  auto* upper = new QSplitter(Qt::Horizontal);
  upper->addWidget(add_plot(m_matrix));
  upper->addWidget(m_ranking);
  upper->setStretchFactor(0, 3);
  upper->setStretchFactor(1, 2);
  upper->setChildrenCollapsible(false);
  upper->setSizes({600, 500});
  column().addWidget(upper, 3);
  column().addWidget(m_missing);
  auto* lower = new QHBoxLayout;
  lower->addWidget(add_plot(m_budgets), 1);
  lower->addWidget(add_plot(m_head_losses), 1);
  column().addLayout(lower, 2);
  column().addWidget(add_plot(m_layer_losses), 2);
  constexpr int kChartHeight = 220;
  for (ChartView* chart : {m_budgets, m_head_losses, m_layer_losses}) {
    chart->setMinimumHeight(kChartHeight);
  }
  connect(m_matrix, &HeadMatrixView::activated, this, &HeadsPage::head_activated);
  const auto pick_bar = [this](int index, Qt::KeyboardModifiers modifiers) {
    if (static_cast<std::size_t>(index) < m_bar_heads.size()) {
      const Pick how = (modifiers & Qt::ControlModifier) != 0 ? Pick::kToggle : Pick::kReplace;
      ViewStack& view = this->workspace().view();
      view.select(
          pick(view.selection(), m_bar_heads[static_cast<std::size_t>(index)], how, m_bar_heads));
    }
  };
  connect(m_budgets, &ChartView::picked, this, pick_bar);
  connect(m_head_losses, &ChartView::picked, this, pick_bar);
  connect(m_layer_losses, &ChartView::picked, this,
          [this](int index, Qt::KeyboardModifiers modifiers) {
            const auto& run = this->workspace().run();
            const auto layer = static_cast<std::size_t>(index);
            if (run && layer < run->view().layers.size()) {
              ViewStack& view = this->workspace().view();
              view.select(select_heads(view.selection(), heads_of_layer(run->view().layers[layer]),
                                       (modifiers & Qt::ControlModifier) != 0));
            }
          });
  connect(&workspace, &Workspace::run_changed, this, &HeadsPage::show_run);
  connect(&workspace, &Workspace::baseline_changed, this, &HeadsPage::show_run);
  connect(&workspace.view(), &ViewStack::selection_changed, this, &HeadsPage::show_selection);
  show_run();
}

void HeadsPage::make_controls() {
  m_figure->setObjectName(QStringLiteral("heads.figure"));
  m_figure->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_show->setObjectName(QStringLiteral("heads.show"));
  m_show->addItems({QStringLiteral("this run"), QStringLiteral("the baseline"),
                    QStringLiteral("difference to the baseline"),
                    QStringLiteral("factor to the baseline")});
  m_colours->setObjectName(QStringLiteral("heads.colours"));
  m_colours->addItems({QStringLiteral("violet to yellow"), QStringLiteral("cividis")});
  m_clip->setObjectName(QStringLiteral("heads.clip"));
  for (const double percent : {0.0, 1.0, 2.0, 5.0, 10.0}) {
    m_clip->addItem(
        percent == 0.0 ? QStringLiteral("nothing") : QStringLiteral("%1% at each end").arg(percent),
        percent / 100.0);
  }
  m_range->setObjectName(QStringLiteral("heads.range"));
  m_range->addItems({QStringLiteral("its own"), QStringLiteral("shared with the baseline")});
  m_log->setObjectName(QStringLiteral("heads.log"));
  m_find->setObjectName(QStringLiteral("heads.search"));
  m_find->setPlaceholderText(QStringLiteral("layer 4 head 2, L4H2, token 1200"));
  m_find->setClearButtonEnabled(true);
  m_answer->setObjectName(QStringLiteral("heads.answer"));
  m_answer->setTextFormat(Qt::PlainText);
  m_missing->setObjectName(QStringLiteral("heads.missing"));
  m_missing->setTextFormat(Qt::PlainText);
  m_missing->setWordWrap(true);
  m_missing->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);

  auto* first = new QHBoxLayout;
  add_labelled(*first, QStringLiteral("&Figure"), m_figure);
  add_labelled(*first, QStringLiteral("Sho&w"), m_show);
  first->addStretch();
  add_labelled(*first, QStringLiteral("F&ind"), m_find);
  m_find->setMinimumWidth(230);
  first->addWidget(m_answer);
  auto* second = new QHBoxLayout;
  add_labelled(*second, QStringLiteral("&Colours"), m_colours);
  add_labelled(*second, QStringLiteral("&Range"), m_range);
  add_labelled(*second, QStringLiteral("Cli&p"), m_clip);
  second->addWidget(m_log);
  second->addStretch();
  column().addLayout(first);
  column().addLayout(second);

  connect(m_figure, &QComboBox::currentIndexChanged, this, &HeadsPage::show_figure);
  connect(m_show, &QComboBox::currentIndexChanged, this, &HeadsPage::show_run);
  connect(m_range, &QComboBox::currentIndexChanged, this, &HeadsPage::show_figure);
  connect(m_colours, &QComboBox::currentIndexChanged, this, [this](int index) {
    m_matrix->set_colours(index == 1 ? HeadMatrixView::Colours::kCividis
                                     : HeadMatrixView::Colours::kEven);
  });
  connect(m_clip, &QComboBox::currentIndexChanged, this,
          [this] { m_matrix->set_clip(m_clip->currentData().toDouble()); });
  connect(m_log, &QCheckBox::toggled, m_matrix, &HeadMatrixView::set_log);
  connect(m_find, &QLineEdit::returnPressed, this, &HeadsPage::find);
  connect(m_find, &QLineEdit::textEdited, m_answer, &QLabel::clear);
}

void HeadsPage::make_ranking() {
  m_sorted.setSourceModel(&m_table);
  m_sorted.setSortRole(HeadTable::kNumberRole);
  m_ranking->setObjectName(QStringLiteral("heads.ranking"));
  m_ranking->setAccessibleName(QStringLiteral("Ranking of heads"));
  m_ranking->setModel(&m_sorted);
  m_ranking->setSortingEnabled(true);
  m_ranking->setSelectionBehavior(QAbstractItemView::SelectRows);
  m_ranking->setAlternatingRowColors(true);
  m_ranking->setTabKeyNavigation(false);
  m_ranking->setCornerButtonEnabled(false);
  m_ranking->setMinimumWidth(260);
  // Enough rows to know the widths of columns.
  constexpr int kRowsMeasured = 50;
  m_ranking->horizontalHeader()->setResizeContentsPrecision(kRowsMeasured);
  m_ranking->verticalHeader()->setDefaultSectionSize(m_ranking->fontMetrics().height() + 6);
  copy_cells_with_shortcut(m_ranking);
  connect(m_ranking->selectionModel(), &QItemSelectionModel::selectionChanged, this,
          &HeadsPage::select_rows);
  connect(m_ranking, &QTableView::activated, this, [this](const QModelIndex& index) {
    Q_EMIT head_activated(m_table.head(m_sorted.mapToSource(index).row()));
  });
}

void HeadsPage::set_cividis(bool cividis) {
  m_colours->setCurrentIndex(cividis ? 1 : 0);
}

void HeadsPage::focus_search() {
  m_find->setFocus(Qt::ShortcutFocusReason);
  m_find->selectAll();
}

HeadsPage::Show HeadsPage::shown() const {
  return workspace().baseline() ? static_cast<Show>(std::max(0, m_show->currentIndex()))
                                : Show::kRun;
}

void HeadsPage::clear(const QString& empty_text) {
  m_names.clear();
  m_bar_heads.clear();
  m_bar_run.reset();
  m_matrix->clear(empty_text);
  m_table.show({});
  m_budgets->clear(empty_text);
  m_head_losses->clear(empty_text);
  m_layer_losses->clear(empty_text);
  m_missing->hide();
  const QSignalBlocker blocker(m_figure);
  m_figure->clear();
}

void HeadsPage::show_run() {
  const std::shared_ptr<const Run>& run = workspace().run();
  const bool compared = workspace().baseline() != nullptr;
  m_show->setEnabled(compared);
  m_range->setEnabled(compared);
  m_ranking->setVisible(run != nullptr);
  if (!run) {
    clear(kNoRun);
    return;
  }
  try {
    const bool other = shown() == Show::kBaseline;
    const QString wanted = m_figure->currentData().toString();
    m_names = head_figure_names((other ? workspace().baseline() : run)->view());
    const QSignalBlocker blocker(m_figure);
    m_figure->clear();
    for (const HeadFigureName& name : m_names) {
      m_figure->addItem(qs(name.name), qs(name.id));
      m_figure->setItemData(m_figure->count() - 1, qs(name.formula), Qt::ToolTipRole);
    }
    m_figure->setCurrentIndex(std::max(0, m_figure->findData(wanted)));
    if (m_names.empty()) {
      clear(QStringLiteral("This run has no figures of its heads: every layer was left whole."));
      return;
    }
    std::vector<std::string> missing;
    std::vector<HeadFigure> figures;
    for (const HeadFigureName& name : m_names) {
      figures.push_back(figure(name, missing));
    }
    m_showing = true;
    m_table.show(std::move(figures));
    m_showing = false;
    m_ranking->resizeColumnsToContents();
    show_layers();
    show_figure();
  } catch (...) {
    m_showing = false;
    clear(current_failure().what);
  }
}

HeadFigure HeadsPage::figure(const HeadFigureName& name, std::vector<std::string>& missing) const {
  const std::shared_ptr<const Run>& run = workspace().run();
  const std::shared_ptr<const Run>& baseline = workspace().baseline();
  if (shown() == Show::kBaseline) {
    return head_figure(baseline->view(), name.id);
  }
  HeadFigure own = head_figure(run->view(), name.id);
  if (shown() == Show::kRun) {
    return own;
  }
  const std::vector<HeadFigureName> theirs = head_figure_names(baseline->view());
  const bool both = std::any_of(theirs.begin(), theirs.end(),
                                [&](const HeadFigureName& one) { return one.id == name.id; });
  if (!both) {
    own.map.values.assign(own.map.values.size(), std::nullopt);
    missing.push_back("the baseline has no " + name.name);
    return own;
  }
  HeadComparison comparison =
      compare_heads(own, head_figure(baseline->view(), name.id),
                    shown() == Show::kRatio ? HeadDelta::kRatio : HeadDelta::kDifference);
  missing = std::move(comparison.missing);
  return std::move(comparison.figure);
}

void HeadsPage::show_figure() {
  const int index = m_figure->currentIndex();
  if (!workspace().run() || index < 0 || static_cast<std::size_t>(index) >= m_names.size()) {
    return;
  }
  const HeadFigureName& name = m_names[static_cast<std::size_t>(index)];
  std::vector<std::string> missing;
  HeadFigure chosen = figure(name, missing);
  std::vector<sim::Values> sharing;
  const bool plain = shown() == Show::kRun || shown() == Show::kBaseline;
  if (plain && workspace().baseline() && m_range->currentIndex() == 1) {
    for (const auto& run : {workspace().run(), workspace().baseline()}) {
      for (const HeadFigureName& offered : head_figure_names(run->view())) {
        if (offered.id == name.id) {
          sharing.push_back(head_figure(run->view(), name.id).map.values);
        }
      }
    }
  }
  m_matrix->set_figure(std::move(chosen), std::move(sharing));
  if (const int column = m_table.column_of(name.id); column >= 0) {
    m_showing = true;
    m_ranking->sortByColumn(column, Qt::DescendingOrder);
    m_showing = false;
  }
  constexpr std::size_t kMostListed = 12;
  QStringList lines;
  for (std::size_t i = 0; i < std::min(missing.size(), kMostListed); ++i) {
    lines << qs(missing[i]);
  }
  if (missing.size() > kMostListed) {
    lines << QStringLiteral("and %1 more").arg(missing.size() - kMostListed);
  }
  m_missing->setText(QStringLiteral("Not compared: ") + lines.join(QStringLiteral("; ")));
  m_missing->setVisible(!missing.empty());
  show_selection();
}

void HeadsPage::show_layers() {
  const sim::RunView& run = workspace().run()->view();
  const std::string prefix = loss_prefix(run);
  sim::BarChart chart;
  chart.category_name = "layer";
  chart.categories = sim::layer_names(run);
  chart.unit = sim::Unit::kNumber;
  chart.series = {
      {"L1 loss ‖y - ŷ‖₁", sim::layer_values(run, prefix + "l1_loss"), sim::Ink::kWarm},
      {"bound theta", sim::layer_values(run, prefix + "bound_theta"), sim::Ink::kAccent},
      {"bound by head", sim::layer_values(run, prefix + "bound_head"), sim::Ink::kPale},
      {"bound eps", sim::layer_values(run, prefix + "bound"), sim::Ink::kGrey}};
  std::erase_if(chart.series,
                [](const sim::Series& series) { return !sim::has_values(series.values); });
  if (chart.series.empty()) {
    m_layer_losses->clear(
        QStringLiteral("This run has no L1 losses: it was made with --losses mass."));
    return;
  }
  const QString steps = prefix.empty()
                            ? QStringLiteral("mean over decode queries")
                            : QStringLiteral("on the observation window, which flatters");
  const QString bounds =
      chart.series.size() > 1
          ? QStringLiteral(
                " Bounds: eps = 2C Σ(1 - F) (Ada-KV theorem 3.1), with a constant a "
                "head, and theta (CriticalKV theorem 3.3).")
          : QString();
  m_layer_losses->set_chart(
      chart, qs(run.origin),
      QStringLiteral("Of the layer's output, %1, logarithmic.%2").arg(steps, bounds));
  m_layer_losses->set_log_axes(false, true);
}

std::vector<std::size_t> HeadsPage::chosen_layers() const {
  const sim::RunView& run = workspace().run()->view();
  const Selection& selection = workspace().view().selection();
  std::set<std::int64_t> wanted;
  for (const HeadId& head : selection.heads) {
    wanted.insert(head.layer);
  }
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < run.layers.size(); ++i) {
    if (wanted.contains(run.layers[i].layer)) {
      chosen.push_back(i);
    }
  }
  if (chosen.empty() && !run.layers.empty()) {
    chosen.push_back(0);
  }
  return chosen;
}

void HeadsPage::show_heads_of_layers() {
  const sim::RunView& run = workspace().run()->view();
  const std::vector<std::size_t> layers = chosen_layers();
  if (m_bar_run == workspace().run() && m_bar_layers == layers) {
    return;  // the charts keep their cursor
  }
  m_bar_run = workspace().run();
  m_bar_layers = layers;
  sim::BarChart budgets;
  budgets.category_name = layers.size() > 1 ? "layer/head" : run.unit_name;
  budgets.unit = sim::Unit::kTokens;
  budgets.stacked = true;
  sim::BarChart losses = budgets;
  losses.unit = sim::Unit::kNumber;
  losses.stacked = false;
  sim::Series always{"protected", {}, sim::Ink::kGrey};
  sim::Series guaranteed{"alpha (floor)", {}, sim::Ink::kPale};
  sim::Series by_score{"adaptive", {}, sim::Ink::kAccent};
  sim::Series uniform{"uniform", {}, sim::Ink::kWarm};
  sim::Series loss{"L1 loss", {}, sim::Ink::kWarm};
  if (!run.adaptive) {
    guaranteed.name = "by score";
  }
  QStringList numbers;
  QStringList floors;
  m_bar_heads.clear();
  for (const std::size_t index : layers) {
    const sim::LayerView& layer = run.layers[index];
    if (m_bar_heads.size() + layer.heads.size() > kMostBars && !m_bar_heads.empty()) {
      break;
    }
    numbers << QString::number(layer.layer);
    const LayerBudget budget = budget_parts(run, layer);
    floors << qs(sim::number_text(budget.floor, sim::Unit::kTokens));
    const std::vector<HeadId> heads = heads_of_layer(layer);
    for (std::size_t i = 0; i < heads.size(); ++i) {
      m_bar_heads.push_back(heads[i]);
      const std::string head = std::to_string(heads[i].head);
      losses.categories.push_back(layers.size() > 1 ? std::to_string(layer.layer) + "/" + head
                                                    : head);
      loss.values.push_back(layer.heads[i].number("l1_loss"));
      if (i < budget.heads.size()) {
        const BudgetParts& parts = budget.heads[i];
        always.values.emplace_back(parts.protected_tokens);
        guaranteed.values.emplace_back(parts.guaranteed);
        by_score.values.emplace_back(parts.by_score);
        uniform.values.emplace_back(budget.uniform);
      }
    }
  }
  const QString of_layers = QStringLiteral("Layer%1 %2")
                                .arg(numbers.size() > 1 ? QStringLiteral("s") : QString(),
                                     numbers.join(QStringLiteral(", ")));
  if (sim::has_values(always.values)) {
    budgets.categories = losses.categories;
    budgets.series = {always, guaranteed};
    if (run.adaptive) {
      budgets.series.push_back(by_score);
    }
    budgets.marks = uniform;
    QString note =
        of_layers +
        QStringLiteral(
            ": tokens kept, of them protected ones (window, sinks); the dash is the equal "
            "share");
    if (run.adaptive) {
      note += QStringLiteral(", the floor that alpha guarantees is %1")
                  .arg(floors.join(QStringLiteral(", ")));
    }
    m_budgets->set_chart(budgets, qs(run.origin), note + '.');
  } else {
    m_budgets->clear(QStringLiteral("A retrieval run keeps every token: it has no budgets."));
  }
  if (sim::has_values(loss.values)) {
    losses.series = {loss};
    m_head_losses->set_chart(
        losses, qs(run.origin),
        of_layers + QStringLiteral(": ‖Σ (A - Â) V W_O‖₁ of each head's queries. Heads do not add "
                                   "up to the layer."));
  } else {
    m_head_losses->clear(QStringLiteral("This run has no L1 losses of heads."));
  }
}

void HeadsPage::show_selection() {
  if (!workspace().run() || m_names.empty()) {
    return;
  }
  show_heads_of_layers();
  const Selection& selection = workspace().view().selection();
  std::optional<double> bar;
  std::optional<double> layer;
  if (selection.current) {
    const auto at = std::find(m_bar_heads.begin(), m_bar_heads.end(), *selection.current);
    if (at != m_bar_heads.end()) {
      bar = static_cast<double>(at - m_bar_heads.begin());
    }
    const auto& layers = workspace().run()->view().layers;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (layers[i].layer == selection.current->layer) {
        layer = static_cast<double>(i);
      }
    }
  }
  m_budgets->set_marker(bar);
  m_head_losses->set_marker(bar);
  m_layer_losses->set_marker(layer);
  if (m_showing) {
    return;
  }
  m_showing = true;
  QItemSelection rows;
  for (const HeadId& head : selection.heads) {
    if (const int row = m_table.row_of(head); row >= 0) {
      const QModelIndex at = m_sorted.mapFromSource(m_table.index(row, 0));
      rows.append(QItemSelectionRange(at, at.siblingAtColumn(m_table.columnCount() - 1)));
    }
  }
  m_ranking->selectionModel()->select(rows, QItemSelectionModel::ClearAndSelect);
  if (selection.current) {
    if (const int row = m_table.row_of(*selection.current); row >= 0) {
      m_ranking->scrollTo(m_sorted.mapFromSource(m_table.index(row, 0)));
    }
  }
  m_showing = false;
}

void HeadsPage::select_rows() {
  if (m_showing) {
    return;
  }
  std::vector<HeadId> heads;
  for (const QModelIndex& index : m_ranking->selectionModel()->selectedRows()) {
    heads.push_back(m_table.head(m_sorted.mapToSource(index).row()));
  }
  ViewStack& view = workspace().view();
  Selection selection = select_heads(view.selection(), std::move(heads), false);
  const QModelIndex current = m_ranking->selectionModel()->currentIndex();
  if (current.isValid()) {
    const HeadId head = m_table.head(m_sorted.mapToSource(current).row());
    if (selection.contains(head)) {
      selection.current = head;
    }
  }
  m_showing = true;
  view.select(std::move(selection));
  m_showing = false;
}

void HeadsPage::find() {
  const auto search = parse_head_search(m_find->text());
  if (!search) {
    m_answer->setText(QStringLiteral("Write layer 4 head 2, L4H2, layer 4, token 1200 or step 3"));
    return;
  }
  std::vector<HeadId> heads;
  for (int row = 0; row < m_table.rowCount(); ++row) {
    const HeadId& head = m_table.head(row);
    if ((!search->layer || head.layer == *search->layer) &&
        (!search->head || head.head == *search->head)) {
      heads.push_back(head);
    }
  }
  ViewStack& view = workspace().view();
  Selection selection = view.selection();
  if (search->layer || search->head) {
    if (heads.empty()) {
      m_answer->setText(QStringLiteral("There is no such head in this run"));
      return;
    }
    selection = select_heads(std::move(selection), std::move(heads), false);
  }
  if (search->token) {
    const auto& run = workspace().run();
    if (run && *search->token >= run->view().trace.prompt_tokens + run->view().trace.decode_steps) {
      m_answer->setText(QStringLiteral("There is no such token in this run"));
      return;
    }
    selection.tokens = TokenRange{*search->token, *search->token + 1};
  }
  if (search->step) {
    selection.step = search->step;
  }
  m_answer->clear();
  view.select(std::move(selection));
}

}  // namespace kvsieve::gui
