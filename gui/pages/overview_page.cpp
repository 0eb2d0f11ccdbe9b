#include "pages/overview_page.h"

#include <QFileInfo>
#include <QHBoxLayout>
#include <QHeaderView>

#include "core/headline.h"
#include "kvsieve/sim/run_series.h"
#include "widgets/copy_cells.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

QLabel* label(const QString& text, double scale = 1.0, bool bold = false) {
  auto* made = new QLabel(text);
  made->setTextFormat(Qt::PlainText);
  made->setWordWrap(true);
  made->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  QFont font = made->font();
  font.setPointSizeF(font.pointSizeF() * scale);
  font.setBold(bold);
  made->setFont(font);
  return made;
}

}  // namespace

OverviewPage::OverviewPage(Workspace& workspace)
    : Page("overview", "Overview", workspace),
      m_what(label({}, 1.25, true)),
      m_figures(new QGridLayout),
      m_warnings(label({})),
      m_layers(new ChartView("overview.layers", "Loss by layer", workspace)),
      m_stages(new ChartView("overview.stages", "Where a decode step's time goes", workspace)),
      m_facts(new QTableWidget) {
  m_what->setObjectName("overview.what");
  m_warnings->setObjectName("overview.warnings");
  m_facts->setObjectName("overview.facts");
  m_facts->setAccessibleName("What the open files hold");
  m_facts->setColumnCount(3);
  m_facts->setHorizontalHeaderLabels({"file", "property", "value"});
  m_facts->horizontalHeader()->setStretchLastSection(true);
  m_facts->verticalHeader()->hide();
  m_facts->setEditTriggers(QAbstractItemView::NoEditTriggers);
  copy_cells_with_shortcut(m_facts);
  constexpr int kGap = 24;
  m_figures->setHorizontalSpacing(kGap);
  column().addWidget(m_what);
  column().addLayout(m_figures);
  column().addWidget(m_warnings);
  auto* charts = new QHBoxLayout;
  charts->addWidget(add_plot(m_layers), 1);
  charts->addWidget(add_plot(m_stages), 1);
  column().addLayout(charts, 2);
  column().addWidget(m_facts, 1);
  connect(&workspace, &Workspace::files_changed, this, &OverviewPage::show_files);
  connect(&workspace, &Workspace::sweep_changed, this, &OverviewPage::show_files);
  connect(&workspace, &Workspace::run_changed, this, &OverviewPage::show_run);
  show_files();
  show_run();
}

void OverviewPage::show_files() {
  int rows = 0;
  for (const OpenedFile& file : workspace().files()) {
    rows += static_cast<int>(file.facts.size()) + 2;
  }
  m_facts->setRowCount(rows);
  int row = 0;
  const auto add = [&](const QString& file, const QString& name, const QString& value) {
    m_facts->setItem(row, 0, new QTableWidgetItem(file));
    m_facts->setItem(row, 1, new QTableWidgetItem(name));
    m_facts->setItem(row, 2, new QTableWidgetItem(value));
    ++row;
  };
  for (const OpenedFile& file : workspace().files()) {
    const QString name = QFileInfo(file.path).fileName();
    add(name, "kind", name_of(file.kind));
    add(name, "size",
        QString::fromStdString(
            sim::number_text(static_cast<double>(file.bytes), sim::Unit::kBytes)));
    for (const FileFact& fact : file.facts) {
      add(name, fact.name, fact.value);
    }
  }
  m_facts->resizeColumnToContents(0);
  m_facts->resizeColumnToContents(1);
}

void OverviewPage::show_run() {
  while (QLayoutItem* item = m_figures->takeAt(0)) {
    delete item->widget();
    delete item;
  }
  const auto& run = workspace().run();
  if (!run) {
    const bool computing = workspace().trace() != nullptr;
    m_what->setText(computing ? "Replaying the trace..."
                              : "No run is open. Open a trace, a run, a sweep store or a timeline "
                                "(Ctrl+O), or drop one here.");
    m_warnings->hide();
    m_layers->clear("Appears with a run");
    m_stages->clear("Appears with a run");
    return;
  }
  const sim::RunView& view = run->view();
  m_what->setText(
      QStringLiteral("%1 on %2")
          .arg(QString::fromStdString(view.label()), QString::fromStdString(view.trace.model)));
  int at = 0;
  for (const HeadlineFigure& figure : headline(*run)) {
    m_figures->addWidget(label(figure.value, 1.6, true), 0, at);
    m_figures->addWidget(label(figure.name + " (" + figure.origin + ")"), 1, at);
    auto* detail = label(figure.detail, 0.9);
    QPalette faint = detail->palette();
    faint.setColor(QPalette::WindowText, faint_text(palette()));
    detail->setPalette(faint);
    m_figures->addWidget(detail, 2, at, Qt::AlignTop);
    m_figures->setColumnStretch(at, 1);
    ++at;
  }
  QStringList warnings;
  if (!run->is_whole()) {
    warnings << "Only a part: these are the layers replayed so far. If the replay was cancelled, "
                "change an option to start it again.";
  }
  for (const std::string& warning : view.warnings) {
    warnings << "Warning: " + QString::fromStdString(warning);
  }
  m_warnings->setText(warnings.join('\n'));
  m_warnings->setVisible(!warnings.isEmpty());

  const bool eviction = view.family == sim::Family::kEviction;
  sim::BarChart layers{.category_name = "layer", .categories = sim::layer_names(view)};
  layers.series = {{eviction ? "evicted mass" : "lost attention mass", {}, sim::Ink::kAccent}};
  if (eviction) {
    layers.series[0].values = sim::layer_values(view, "evicted_mass");
    layers.marks = sim::Series{"uniform budgets", sim::layer_values(view, "uniform/evicted_mass")};
    if (!sim::has_values(layers.marks->values)) {
      layers.marks.reset();
    }
  } else {
    for (const auto& captured : sim::layer_values(view, "captured_mass")) {
      layers.series[0].values.push_back(captured ? std::optional(1.0 - *captured) : std::nullopt);
    }
  }
  if (sim::has_values(layers.series[0].values)) {
    m_layers->set_chart(layers, QString::fromStdString(view.origin),
                        "Attention of unseen decode steps on tokens that are not there.");
  } else {
    m_layers->clear("The trace has no decode steps to measure losses on");
  }

  sim::BarChart stages{.category_name = "stage", .unit = sim::Unit::kNumber};
  sim::Series time{"us a step", {}, sim::Ink::kAccent};
  std::vector<double> low;
  std::vector<double> high;
  if (const auto cost = view.document.child("cost")) {
    for (const sim::Node& stage : cost->children("stages")) {
      const auto us = stage.number("us");
      stages.categories.push_back(stage.text("stage"));
      time.values.push_back(us);
      const double error = stage.number("error/median_error").value_or(0.0);
      low.push_back(us.value_or(0.0) * (1.0 - error));
      high.push_back(us.value_or(0.0) * (1.0 + error));
    }
  }
  stages.series = {time};
  if (stages.categories.empty()) {
    m_stages->clear("The run has no modelled cost");
  } else {
    m_stages->set_chart(stages, QString::fromStdString(view.cost_origin),
                        "Each stage alone, all layers; bars are the model's median error.");
    m_stages->set_band(0, low, high);
  }
}

}  // namespace kvsieve::gui
