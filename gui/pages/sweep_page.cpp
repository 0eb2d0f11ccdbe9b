#include "pages/sweep_page.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QKeyEvent>
#include <QMenu>
#include <QMessageBox>
#include <QSplitter>
#include <QVBoxLayout>
#include <algorithm>
#include <utility>

#include "core/metric_info.h"
#include "core/sweep_choices.h"
#include "widgets/plot_export.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

const QString kArranging = QStringLiteral("Arranging points");
constexpr int kTypingMs = 250;
constexpr int kQuietMs = 3000;  // without new rows, a store is no longer live
enum Direction { kLess, kMore, kNeither };

/// Fills a combo box and keeps what was chosen if it is still there.
void refill(QComboBox* box, const QStringList& texts, const QString& otherwise) {
  const QString chosen = box->currentText();
  box->clear();
  box->addItems(texts);
  const int kept = box->findText(chosen);
  box->setCurrentIndex(kept >= 0 && !chosen.isEmpty() ? kept
                                                      : std::max(0, box->findText(otherwise)));
}

QString number(std::size_t count) {
  return QString::fromStdString(sim::grouped(static_cast<std::int64_t>(count)));
}

}  // namespace

SweepPage::SweepPage(Workspace& workspace)
    : Page(QStringLiteral("sweep"), QStringLiteral("Sweep"), workspace),
      m_model(new SweepRowsModel(this)),
      m_stack(new QStackedWidget),
      m_empty(new QLabel(QStringLiteral(
          "No sweep store is open. Open one that kvsieve sweep ... --store FILE writes, also while "
          "it runs."))),
      m_filter(new QLineEdit),
      m_filter_error(new QLabel),
      m_counts(new QLabel),
      m_live(new QLabel),
      m_shared(new QLabel),
      m_table(new SweepTableView(m_model)),
      m_columns(new QToolButton),
      m_open(new QPushButton(QStringLiteral("Open point as a run"))),
      m_copy_command(new QPushButton(QStringLiteral("Copy command"))),
      m_chart(new ParetoView(workspace)),
      m_colour(new QComboBox),
      m_shape(new QComboBox) {
  m_empty->setAlignment(Qt::AlignCenter);
  m_empty->setWordWrap(true);
  m_empty->setObjectName(QStringLiteral("sweep.empty"));
  auto* splitter = new QSplitter(Qt::Horizontal);
  splitter->setObjectName(QStringLiteral("sweep.splitter"));
  splitter->setChildrenCollapsible(false);
  splitter->addWidget(make_table_side());
  splitter->addWidget(make_chart_side());
  splitter->setStretchFactor(0, 1);
  splitter->setStretchFactor(1, 1);
  m_stack->addWidget(m_empty);
  m_stack->addWidget(splitter);
  column().addWidget(m_stack);
  make_actions();

  m_filter_timer.setSingleShot(true);
  m_filter_timer.setInterval(kTypingMs);
  m_quiet_timer.setSingleShot(true);
  m_quiet_timer.setInterval(kQuietMs);
  const auto apply_filter = [this] {
    m_filter_timer.stop();
    this->workspace().view().set_filter(m_filter->text());
  };
  connect(m_filter, &QLineEdit::textEdited, &m_filter_timer, qOverload<>(&QTimer::start));
  connect(m_filter, &QLineEdit::returnPressed, this, apply_filter);
  connect(&m_filter_timer, &QTimer::timeout, this, apply_filter);
  connect(&m_quiet_timer, &QTimer::timeout, this, [this] {
    if (const auto& table = this->workspace().sweep()) {
      show_live(*table);
    }
  });
  connect(&workspace, &Workspace::sweep_changed, this, &SweepPage::read_sweep);
  connect(&workspace.view(), &ViewStack::filter_changed, this, [this] {
    const QString& filter = this->workspace().view().state().filter;
    if (m_filter->text() != filter) {
      m_filter->setText(filter);
    }
    arrange_rows();
  });
  connect(&workspace.view(), &ViewStack::selection_changed, this, &SweepPage::show_selection);
  connect(m_table, &SweepTableView::points_selected, this, &SweepPage::take_table_selection);
  connect(m_table, &QTableView::activated, this,
          [this](const QModelIndex& index) { open_row(m_model->row_of(index.row())); });
  connect(m_table->horizontalHeader(), &QHeaderView::sectionClicked, this,
          [this](int section) { sort_by(section, std::nullopt); });
  connect(m_chart, &ParetoView::opened, this, &SweepPage::open_row);
  read_sweep();
}

SweepPage::~SweepPage() {
  workspace().jobs().cancel(kArranging);
}

QWidget* SweepPage::make_table_side() {
  m_filter->setObjectName(QStringLiteral("sweep.filter"));
  m_filter->setAccessibleName(QStringLiteral("Filter of the sweep's points"));
  m_filter->setClearButtonEnabled(true);
  m_filter->setPlaceholderText(
      QStringLiteral("Filter: tpot_ms<20 and method!='quest', or words such as ada 20%"));
  m_filter->setToolTip(QStringLiteral(
      "A condition over options and metrics as in kvsieve sweep --where, or words that a point's "
      "options or error contain; #12 is the point of that number (Ctrl+F)"));
  for (QLabel* label : {m_filter_error, m_counts, m_live, m_shared}) {
    label->setTextFormat(Qt::PlainText);
    label->setWordWrap(true);
  }
  m_filter_error->setObjectName(QStringLiteral("sweep.filter_error"));
  m_counts->setObjectName(QStringLiteral("sweep.counts"));
  m_live->setObjectName(QStringLiteral("sweep.live"));
  m_shared->setObjectName(QStringLiteral("sweep.shared"));

  m_columns->setText(QStringLiteral("Columns"));
  m_columns->setToolTip(
      QStringLiteral("Which columns are shown; those that do not vary are folded "
                     "away"));
  m_columns->setPopupMode(QToolButton::InstantPopup);
  m_columns->setMenu(new QMenu(m_columns));
  connect(m_columns->menu(), &QMenu::aboutToShow, this, &SweepPage::fill_columns_menu);

  auto* top = new QHBoxLayout;
  top->addWidget(m_filter, 1);
  top->addWidget(m_columns);
  auto* counts = new QHBoxLayout;
  counts->addWidget(m_counts, 1);
  counts->addWidget(m_live);
  auto* buttons = new QHBoxLayout;
  auto* save = new QPushButton(QStringLiteral("Export shown rows..."));
  connect(save, &QPushButton::clicked, this, [this] {
    const QString path =
        QFileDialog::getSaveFileName(this, QStringLiteral("Export the shown rows"),
                                     QStringLiteral("sweep.csv"), QStringLiteral("CSV (*.csv)"));
    if (path.isEmpty()) {
      return;
    }
    try {
      export_csv(path);
    } catch (...) {
      QMessageBox::warning(this, QStringLiteral("Not saved"), current_failure().what);
    }
  });
  buttons->addWidget(m_open);
  buttons->addWidget(m_copy_command);
  buttons->addWidget(save);
  buttons->addStretch();

  auto* side = new QWidget;
  auto* column = new QVBoxLayout(side);
  column->setContentsMargins(0, 0, 0, 0);
  column->addLayout(top);
  column->addWidget(m_filter_error);
  column->addLayout(counts);
  column->addWidget(m_shared);
  column->addWidget(m_table, 1);
  column->addLayout(buttons);
  return side;
}

SweepPage::Axis SweepPage::make_axis(const QString& name) {
  Axis axis{new QComboBox, new QComboBox, new QCheckBox(QStringLiteral("log"))};
  axis.metric->setObjectName(QStringLiteral("sweep.%1").arg(name));
  axis.metric->setAccessibleName(QStringLiteral("Metric of the %1 axis").arg(name));
  axis.metric->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  axis.metric->setMinimumContentsLength(12);
  axis.direction->addItems({QStringLiteral("less is better"), QStringLiteral("more is better"),
                            QStringLiteral("no direction")});
  axis.direction->setAccessibleName(QStringLiteral("What is better on the %1 axis").arg(name));
  axis.direction->setObjectName(QStringLiteral("sweep.%1_direction").arg(name));
  axis.log->setAccessibleName(QStringLiteral("Logarithmic %1 axis").arg(name));
  axis.log->setObjectName(QStringLiteral("sweep.%1_log").arg(name));
  connect(axis.metric, &QComboBox::currentTextChanged, this, [this, axis](const QString& metric) {
    const auto best = metric_info(metric.toStdString()).best;
    const QSignalBlocker blocked(axis.direction);
    axis.direction->setCurrentIndex(!best                                 ? kNeither
                                    : *best == sim::ParetoDirection::kMax ? kMore
                                                                          : kLess);
    arrange_rows();
  });
  connect(axis.direction, &QComboBox::currentIndexChanged, this, &SweepPage::arrange_rows);
  connect(axis.log, &QCheckBox::toggled, this, &SweepPage::show_chart);
  return axis;
}

QWidget* SweepPage::make_chart_side() {
  m_x = make_axis(QStringLiteral("x"));
  m_y = make_axis(QStringLiteral("y"));
  auto* form = new QFormLayout;
  for (const auto& [name, axis] : {std::pair("Across", &m_x), std::pair("Up", &m_y)}) {
    auto* row = new QHBoxLayout;
    row->addWidget(axis->metric, 1);
    row->addWidget(axis->direction);
    row->addWidget(axis->log);
    form->addRow(QString::fromUtf8(name), row);
  }
  auto* look = new QHBoxLayout;
  m_colour->setAccessibleName(QStringLiteral("Option that colours points"));
  m_colour->setObjectName(QStringLiteral("sweep.colour"));
  m_shape->setAccessibleName(QStringLiteral("Option that gives points their shape"));
  m_shape->setObjectName(QStringLiteral("sweep.shape"));
  look->addWidget(m_colour, 1);
  look->addWidget(new QLabel(QStringLiteral("Shape")));
  look->addWidget(m_shape, 1);
  form->addRow(QStringLiteral("Colour"), look);
  for (QComboBox* box : {m_colour, m_shape}) {
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(10);
    connect(box, &QComboBox::currentIndexChanged, this, &SweepPage::show_chart);
  }
  auto* side = new QWidget;
  auto* column = new QVBoxLayout(side);
  column->setContentsMargins(0, 0, 0, 0);
  column->addLayout(form);
  column->addWidget(add_plot(m_chart), 1);
  return side;
}

void SweepPage::make_actions() {
  const auto add = [this](const QString& text, const QKeySequence& keys, const auto& slot) {
    auto* action = new QAction(text, m_table);
    action->setShortcut(keys);
    action->setShortcutContext(Qt::WidgetShortcut);
    connect(action, &QAction::triggered, this, slot);
    m_table->addAction(action);
  };
  const auto open = [this] {
    if (const auto rows = chosen_rows(); !rows.empty()) {
      open_row(rows.front());
    }
  };
  const auto copy_command = [this] {
    QStringList lines;
    for (const std::uint32_t row : chosen_rows()) {
      lines << m_model->arrangement()->table->command(row);
    }
    if (!lines.isEmpty()) {
      QApplication::clipboard()->setText(lines.join('\n'));
    }
  };
  add(QStringLiteral("Open point as a run"), QKeySequence(QStringLiteral("Ctrl+Return")), open);
  add(QStringLiteral("Copy command"), QKeySequence(QStringLiteral("Ctrl+Shift+C")), copy_command);
  add(QStringLiteral("Sort ascending by this column"), QKeySequence(QStringLiteral("Alt+Up")),
      [this] { sort_by(m_table->currentIndex().column(), false); });
  add(QStringLiteral("Sort descending by this column"), QKeySequence(QStringLiteral("Alt+Down")),
      [this] { sort_by(m_table->currentIndex().column(), true); });
  add(QStringLiteral("Hide this column"), {}, [this] {
    if (m_table->currentIndex().isValid()) {
      m_model->set_hidden(m_table->currentIndex().column(), true);
    }
  });
  m_open->setToolTip(QStringLiteral("Replay or cost the point (Ctrl+Enter, double click)"));
  m_copy_command->setToolTip(
      QStringLiteral("The kvsieve command of every selected point (Ctrl+Shift+C)"));
  connect(m_open, &QPushButton::clicked, this, open);
  connect(m_copy_command, &QPushButton::clicked, this, copy_command);
}

void SweepPage::focus_filter() {
  m_filter->setFocus(Qt::ShortcutFocusReason);
  m_filter->selectAll();
}

void SweepPage::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Find)) {
    focus_filter();
    return;
  }
  Page::keyPressEvent(event);
}

void SweepPage::set_axes(const QString& x, const QString& y) {
  m_x.metric->setCurrentText(x);
  m_y.metric->setCurrentText(y);
}

void SweepPage::export_csv(const QString& path) const {
  save_text(m_model->csv(), path);
}

void SweepPage::read_sweep() {
  const std::shared_ptr<const SweepTable>& table = workspace().sweep();
  m_stack->setCurrentIndex(table ? 1 : 0);
  if (!table) {
    workspace().jobs().cancel(kArranging);
    m_model->show(nullptr);
    m_chart->clear(m_empty->text());
    m_shown_path.clear();
    return;
  }
  const bool grew = m_shown_path == table->path();
  fill_choices(*table);
  show_live(*table);
  // Rows that come faster than they are arranged must not keep the page from showing any.
  if (grew && workspace().jobs().is_running(kArranging)) {
    m_rows_waiting = true;
  } else {
    arrange_rows();
  }
}

void SweepPage::fill_choices(const SweepTable& table) {
  const SweepChoices choices = sweep_choices(table);
  const bool same_lists = m_shown_path == table.path() &&
                          m_x.metric->count() == choices.metrics.size() &&
                          m_colour->count() == choices.options.size() + 1;
  if (same_lists && !m_x.metric->currentText().isEmpty()) {
    return;
  }
  m_filling = true;
  m_shown_path = table.path();
  refill(m_x.metric, choices.metrics, choices.x);
  refill(m_y.metric, choices.metrics, choices.y);
  refill(m_colour, QStringList{QStringLiteral("one colour")} + choices.options, choices.colour);
  refill(m_shape, QStringList{QStringLiteral("as colour")} + choices.options,
         QStringLiteral("as colour"));
  m_filling = false;
}

std::optional<sim::ParetoObjective> SweepPage::objective(const Axis& axis) const {
  const int direction = axis.direction->currentIndex();
  if (axis.metric->currentText().isEmpty() || direction == kNeither) {
    return std::nullopt;
  }
  return sim::ParetoObjective{
      axis.metric->currentText().toStdString(),
      direction == kMore ? sim::ParetoDirection::kMax : sim::ParetoDirection::kMin};
}

void SweepPage::arrange_rows() {
  const std::shared_ptr<const SweepTable>& table = workspace().sweep();
  if (m_filling || !table) {
    return;
  }
  SweepQuery query{workspace().view().state().filter, m_sort, m_descending, objective(m_x),
                   objective(m_y)};
  if (query.x && query.y && query.x->metric == query.y->metric) {
    query.y.reset();
  }
  workspace().jobs().start(kArranging, [this, table, query](const JobControl& control) {
    auto arrangement = arrange(table, query, control);
    return [this, arrangement] {
      show_arrangement(arrangement);
      if (std::exchange(m_rows_waiting, false)) {
        arrange_rows();
      }
    };
  });
}

void SweepPage::show_arrangement(std::shared_ptr<const SweepArrangement> arrangement) {
  const std::shared_ptr<const SweepArrangement> before = m_model->arrangement();
  const bool kept = m_table->show_arrangement(arrangement);
  m_counts->setText(counts_text(*arrangement));
  m_filter_error->setText(arrangement->filter_error);
  m_filter_error->setVisible(!arrangement->filter_error.isEmpty());
  QPalette warm = m_filter_error->palette();
  warm.setColor(QPalette::WindowText, ink(sim::Ink::kWarm, palette()));
  m_filter_error->setPalette(warm);
  m_filter->setAccessibleDescription(arrangement->filter_error);
  const QString shared = m_model->shared_options();
  m_shared->setText(QStringLiteral("All points: ") + shared);
  m_shared->setVisible(!shared.isEmpty());
  QPalette faint = m_shared->palette();
  faint.setColor(QPalette::WindowText, faint_text(palette()));
  m_shared->setPalette(faint);
  show_chart();
  m_model->mark(workspace().view().selection().points);
  // Rows that come while one reads move nothing; another order or filter leads to what is selected.
  const bool same_question = before && before->table->path() == arrangement->table->path() &&
                             before->query == arrangement->query;
  if (!kept) {
    m_table->select_points(workspace().view().selection().points, !same_question);
  }
}

void SweepPage::show_chart() {
  const auto& arrangement = m_model->arrangement();
  if (m_filling || !arrangement) {
    return;
  }
  ParetoLook look;
  look.x = m_x.metric->currentText().toStdString();
  look.y = m_y.metric->currentText().toStdString();
  look.log_x = m_x.log->isChecked();
  look.log_y = m_y.log->isChecked();
  look.colour = m_colour->currentIndex() > 0 ? m_colour->currentText().toStdString() : "";
  look.shape = m_shape->currentIndex() > 0 ? m_shape->currentText().toStdString() : "";
  m_chart->show_points(arrangement, look);
}

void SweepPage::show_live(const SweepTable& table) {
  const auto& shown = m_model->arrangement();
  const bool grew = shown && shown->table->path() == table.path() && shown->table.get() != &table;
  const auto expected =
      static_cast<std::size_t>(std::max<std::int64_t>(table.identity().points, 0));
  if (grew) {
    m_quiet_timer.start();
  }
  if (table.rows() >= expected) {
    m_live->clear();
  } else if (m_quiet_timer.isActive()) {
    m_live->setText(QStringLiteral("● live: %1 of %2 points so far")
                        .arg(number(table.rows()), number(expected)));
  } else {
    m_live->setText(
        QStringLiteral("%1 of %2 points stored").arg(number(table.rows()), number(expected)));
  }
}

void SweepPage::sort_by(int column, std::optional<bool> descending) {
  if (column < 0 || column >= m_model->columnCount()) {
    return;
  }
  const SweepColumnId field = m_model->fields()[static_cast<std::size_t>(column)];
  m_descending = descending.value_or(m_sort == field && !m_descending);
  m_sort = field;
  arrange_rows();
}

void SweepPage::fill_columns_menu() {
  QMenu* menu = m_columns->menu();
  menu->clear();
  for (int column = 0; column < m_model->columnCount(); ++column) {
    QAction* action =
        menu->addAction(m_model->headerData(column, Qt::Horizontal, Qt::DisplayRole).toString());
    action->setCheckable(true);
    action->setChecked(!m_model->is_hidden(column));
    action->setToolTip(m_model->headerData(column, Qt::Horizontal, Qt::ToolTipRole).toString());
    connect(action, &QAction::toggled, m_model,
            [this, column](bool shown) { m_model->set_hidden(column, !shown); });
  }
}

void SweepPage::take_table_selection() {
  m_selecting = true;
  workspace().view().select(
      gui::select_points(workspace().view().selection(), m_table->selected_points(), false));
  m_selecting = false;
}

void SweepPage::show_selection() {
  if (m_model->arrangement()) {
    const std::vector<std::int64_t>& points = workspace().view().selection().points;
    m_model->mark(points);
    if (!m_selecting) {
      m_table->select_points(points, true);
    }
  }
}

std::vector<std::uint32_t> SweepPage::chosen_rows() const {
  return m_table->chosen_rows(workspace().view().selection().points);
}

void SweepPage::open_row(std::uint32_t row) {
  Q_EMIT open_point(m_model->arrangement()->table->command_words(row));
}

}  // namespace kvsieve::gui
