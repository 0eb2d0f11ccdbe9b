// The Heads page: figures, comparison, bars, ranking, find.

#include "pages/heads_page.h"

#include <QClipboard>
#include <QSignalSpy>
#include <QtTest>

#include "pictures.h"
#include "report/run_documents.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

using tests::keep_picture;

class HeadsPageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c11_the_matrix_of_budgets_is_the_first_figure();
  void c12_a_selection_elsewhere_is_shown_here_and_back();
  void c14_the_bars_are_those_of_the_selected_layer();
  void c17_budget_bars_have_parts_uniform_marks_and_the_floor();
  void c19_losses_a_head_and_a_layer_stand_beside_their_bounds();
  void c27_the_ranking_sorts_and_selects();
  void c28_two_runs_are_compared_head_by_head();
  void c35_find_selects_layers_heads_tokens_and_steps();
  void c40_selected_rows_are_copied_with_tabs();
  void c46_range_colours_clip_and_log_reach_the_matrix();
  void c50_every_control_is_reached_by_tab();
  void c51_plots_and_controls_have_names_and_tables();
  void c52_without_a_run_it_says_what_to_do();
  void a_retrieval_run_has_its_own_figures();
  void a_run_of_whole_layers_says_so();
  void eighty_layers_are_shown_whole();

 private:
  template <class T>
  [[nodiscard]] T* child(const char* name) const {
    T* found = m_page->findChild<T*>(name);
    Q_ASSERT(found != nullptr);
    return found;
  }
  [[nodiscard]] HeadMatrixView* matrix() const { return child<HeadMatrixView>("heads.matrix"); }
  [[nodiscard]] sim::Table table_of(const char* plot) const {
    return child<ChartView>(plot)->table();
  }
  [[nodiscard]] const Selection& selection() const { return m_workspace->view().selection(); }
  void find(const QString& text) {
    m_page->focus_search();
    QTest::keyClicks(child<QLineEdit>("heads.search"), text);
    QTest::keyClick(child<QLineEdit>("heads.search"), Qt::Key_Return);
  }

  std::shared_ptr<const Run> m_run;
  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<HeadsPage> m_page;
};

void HeadsPageTest::init() {
  m_run = tests::sample_run("ada-snapkv", "10%");
  m_workspace = std::make_unique<Workspace>();
  m_page = std::make_unique<HeadsPage>(*m_workspace);
  m_page->resize(1200, 980);
  m_page->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_page.get()));
  m_workspace->show_run(m_run);
}

void HeadsPageTest::cleanup() {
  m_page.reset();
  m_workspace.reset();
}

void HeadsPageTest::c11_the_matrix_of_budgets_is_the_first_figure() {
  QCOMPARE(child<QComboBox>("heads.figure")->currentText(), QString("budget"));
  QCOMPARE(matrix()->figure()->map.rows.size(), std::size_t{3});
  QCOMPARE(matrix()->figure()->map.columns.size(), std::size_t{3});
  QCOMPARE(*matrix()->figure()->value(1, 2),
           static_cast<double>(*tests::head_node(*m_run, 4, 2).integer("budget")));
  QCOMPARE(matrix()->origin(), QString("captured"));
  keep_picture(*m_page, "heads-page");
  m_page->setPalette(tests::dark_palette());
  keep_picture(*m_page, "heads-page-dark");
}

void HeadsPageTest::c12_a_selection_elsewhere_is_shown_here_and_back() {
  m_workspace->view().select(pick({}, {4, 2}, Pick::kReplace, {}));
  auto* ranking = child<QTableView>("heads.ranking");
  const QModelIndexList rows = ranking->selectionModel()->selectedRows();
  QCOMPARE(rows.size(), qsizetype{1});
  QCOMPARE(rows.front().siblingAtColumn(0).data().toLongLong(), 4);
  QCOMPARE(rows.front().siblingAtColumn(1).data().toLongLong(), 2);
  const HeadGrid grid = matrix()->grid(matrix()->size());
  QTest::mouseClick(matrix(), Qt::LeftButton, {},
                    QPoint(static_cast<int>(grid.x(0)) + 5, static_cast<int>(grid.y(2)) + 5));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 0}}));
  const QModelIndexList now = ranking->selectionModel()->selectedRows();
  QCOMPARE(now.size(), qsizetype{1});
  QCOMPARE(now.front().siblingAtColumn(0).data().toLongLong(), 8);
  m_workspace->view().back();
  QCOMPARE(ranking->selectionModel()->selectedRows().front().siblingAtColumn(0).data().toLongLong(),
           4);
}

void HeadsPageTest::c14_the_bars_are_those_of_the_selected_layer() {
  auto* budgets = child<ChartView>("heads.budgets");
  QVERIFY(budgets->note().startsWith("Layer 0"));
  m_workspace->view().select(pick({}, {8, 1}, Pick::kReplace, {}));
  QVERIFY2(budgets->note().startsWith("Layer 8"), qPrintable(budgets->note()));
  QCOMPARE(table_of("heads.budgets").rows.size(), std::size_t{3});
  m_workspace->view().select(select_heads({}, {{0, 0}, {8, 1}}, false));
  QCOMPARE(table_of("heads.budgets").rows.size(), std::size_t{6});
  QCOMPARE(QString::fromStdString(table_of("heads.budgets").rows[3][0].text), QString("8/0"));
}

void HeadsPageTest::c17_budget_bars_have_parts_uniform_marks_and_the_floor() {
  m_workspace->view().select(pick({}, {4, 1}, Pick::kReplace, {}));
  const sim::Table table = table_of("heads.budgets");
  QCOMPARE(table.columns.size(), std::size_t{5});
  QCOMPARE(QString::fromStdString(table.columns[2].title), QString("alpha (floor)"));
  QCOMPARE(QString::fromStdString(table.columns[4].title), QString("uniform"));
  for (std::size_t head = 0; head < 3; ++head) {
    QCOMPARE(QString::fromStdString(table.rows[head][1].text), QString("32"));
    QCOMPARE(QString::fromStdString(table.rows[head][2].text), QString("33"));
    QCOMPARE(QString::fromStdString(table.rows[head][4].text), QString("200"));
    const std::int64_t adaptive =
        *tests::head_node(*m_run, 4, static_cast<std::int64_t>(head)).integer("budget") - 65;
    QCOMPARE(QString::fromStdString(table.rows[head][3].text), QString::number(adaptive));
  }
  QVERIFY(child<ChartView>("heads.budgets")->note().contains("floor that alpha guarantees is 65"));
  m_workspace->show_run(tests::sample_run("snapkv", "10%"));
  QCOMPARE(table_of("heads.budgets").columns.size(), std::size_t{4});
}

void HeadsPageTest::c19_losses_a_head_and_a_layer_stand_beside_their_bounds() {
  const sim::Table layers = table_of("heads.bounds");
  QCOMPARE(layers.rows.size(), std::size_t{3});
  QCOMPARE(layers.columns.size(), std::size_t{5});
  const auto& node = m_run->view().layers[1].node;
  const char* const keys[] = {"l1_loss", "bound_theta", "bound_head", "bound"};
  for (std::size_t i = 0; i < 4; ++i) {
    QCOMPARE(QString::fromStdString(layers.rows[1][i + 1].text),
             QString::fromStdString(sim::number_text(*node.number(keys[i]), sim::Unit::kNumber)));
  }
  m_workspace->view().select(pick({}, {4, 0}, Pick::kReplace, {}));
  const sim::Table heads = table_of("heads.losses");
  QCOMPARE(QString::fromStdString(heads.rows[2][1].text),
           QString::fromStdString(sim::number_text(
               *tests::head_node(*m_run, 4, 2).number("l1_loss"), sim::Unit::kNumber)));
  // A bar of a layer selects its heads, a bar of a head that head.
  Q_EMIT child<ChartView>("heads.bounds")->picked(2, Qt::NoModifier);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 0}, {8, 1}, {8, 2}}));
  Q_EMIT child<ChartView>("heads.losses")->picked(1, Qt::NoModifier);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 1}}));
}

void HeadsPageTest::c27_the_ranking_sorts_and_selects() {
  auto* figure = child<QComboBox>("heads.figure");
  auto* ranking = child<QTableView>("heads.ranking");
  figure->setCurrentIndex(figure->findText("evicted mass"));
  QCOMPARE(matrix()->title(), QString("evicted mass"));
  const QAbstractItemModel& model = *ranking->model();
  QCOMPARE(model.rowCount(), 9);
  int column = 0;
  while (model.headerData(column, Qt::Horizontal).toString() != "evicted mass") {
    ++column;
  }
  for (int row = 1; row < model.rowCount(); ++row) {
    QVERIFY(model.index(row - 1, column).data(HeadTable::kNumberRole).toDouble() >=
            model.index(row, column).data(HeadTable::kNumberRole).toDouble());
  }
  QCOMPARE(model.headerData(0, Qt::Vertical).toInt(), 1);
  QCOMPARE(model.headerData(8, Qt::Vertical).toInt(), 9);
  ranking->setFocus();
  ranking->selectRow(0);
  const HeadId first{model.index(0, 0).data().toLongLong(), model.index(0, 1).data().toLongLong()};
  QCOMPARE(selection().heads, std::vector<HeadId>{first});
  QTest::keyClick(ranking, Qt::Key_Down);
  const HeadId second{model.index(1, 0).data().toLongLong(), model.index(1, 1).data().toLongLong()};
  QCOMPARE(selection().heads, std::vector<HeadId>{second});
  QCOMPARE(selection().current, std::optional(second));
  QSignalSpy activated(m_page.get(), &HeadsPage::head_activated);
  QTest::keyClick(ranking, Qt::Key_Return);
  QCOMPARE(activated.size(), qsizetype{1});
}

void HeadsPageTest::c28_two_runs_are_compared_head_by_head() {
  auto* show = child<QComboBox>("heads.show");
  QVERIFY(!show->isEnabled());
  const auto baseline = tests::sample_run("snapkv", "10%");
  m_workspace->set_baseline(baseline);
  QVERIFY(show->isEnabled());
  show->setCurrentIndex(2);
  QCOMPARE(*matrix()->figure()->value(0, 1),
           static_cast<double>(*tests::head_node(*m_run, 0, 1).integer("budget") -
                               *tests::head_node(*baseline, 0, 1).integer("budget")));
  QCOMPARE(matrix()->range().centre, ColourCentre::kZero);
  keep_picture(*m_page, "heads-page-difference");
  show->setCurrentIndex(3);
  QCOMPARE(matrix()->range().centre, ColourCentre::kOne);
  show->setCurrentIndex(1);
  QCOMPARE(*matrix()->figure()->value(0, 1), 200.0);
  // Missing heads are listed.
  QVERIFY(child<QLabel>("heads.missing")->isHidden());
  nlohmann::ordered_json fewer = baseline->document();
  fewer["layers"].erase(2);
  m_workspace->set_baseline(std::make_shared<const Run>(fewer, "fewer"));
  show->setCurrentIndex(2);
  QVERIFY(!child<QLabel>("heads.missing")->isHidden());
  QVERIFY2(child<QLabel>("heads.missing")->text().contains("layer 8, KV head 0: only in the run"),
           qPrintable(child<QLabel>("heads.missing")->text()));
}

void HeadsPageTest::c35_find_selects_layers_heads_tokens_and_steps() {
  m_page->focus_search();
  QVERIFY(child<QLineEdit>("heads.search")->hasFocus());
  find("layer 4 head 2");
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 2}}));
  find("L8H1");
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 1}}));
  find("layer 0");
  QCOMPARE(selection().heads.size(), std::size_t{3});
  find("token 1200 step 7");
  QCOMPARE(selection().tokens, (TokenRange{1200, 1201}));
  QCOMPARE(selection().step, std::optional<std::int64_t>(7));
  QCOMPARE(selection().heads.size(), std::size_t{3});
  const Selection before = selection();
  for (const char* text : {"layer 5", "hello", "token 99999"}) {
    find(text);
    QCOMPARE(selection(), before);
    QVERIFY(!child<QLabel>("heads.answer")->text().isEmpty());
  }
}

void HeadsPageTest::c40_selected_rows_are_copied_with_tabs() {
  auto* ranking = child<QTableView>("heads.ranking");
  ranking->setFocus();
  ranking->selectRow(0);
  QTest::keyClick(ranking, Qt::Key_C, Qt::ControlModifier);
  const QStringList lines = QApplication::clipboard()->text().split('\n');
  QCOMPARE(lines.size(), qsizetype{2});
  QVERIFY(lines[0].startsWith("layer\tKV head\tbudget"));
}

void HeadsPageTest::c46_range_colours_clip_and_log_reach_the_matrix() {
  auto* figure = child<QComboBox>("heads.figure");
  figure->setCurrentIndex(figure->findText("evicted mass"));
  const double high = matrix()->range().high;
  m_workspace->set_baseline(tests::sample_run("snapkv", "5%"));
  child<QComboBox>("heads.range")->setCurrentIndex(1);
  QVERIFY(matrix()->range().high > high);
  child<QComboBox>("heads.range")->setCurrentIndex(0);
  QCOMPARE(matrix()->range().high, high);
  auto* log = child<QCheckBox>("heads.log");
  log->setFocus();
  QTest::keyClick(log, Qt::Key_Space);
  QVERIFY(matrix()->range().log);
  child<QComboBox>("heads.clip")->setCurrentIndex(4);
  QVERIFY(matrix()->range().clips_high);
  child<QComboBox>("heads.colours")->setCurrentIndex(1);
  QCOMPARE(matrix()->colour_of(0.0).name(), QString("#00224e"));
}

void HeadsPageTest::c50_every_control_is_reached_by_tab() {
  QSet<QString> reached;
  m_page->activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(m_page.get()));
  child<QComboBox>("heads.figure")->setFocus();
  for (int i = 0; i < 40; ++i) {
    if (QWidget* focus = QApplication::focusWidget()) {
      reached.insert(focus->objectName());
    }
    QTest::keyClick(QApplication::focusWidget(), Qt::Key_Tab);
  }
  for (const char* name :
       {"heads.figure", "heads.colours", "heads.clip", "heads.log", "heads.search", "heads.matrix",
        "heads.ranking", "heads.budgets", "heads.losses", "heads.bounds"}) {
    QVERIFY2(reached.contains(name), name);
  }
}

void HeadsPageTest::c51_plots_and_controls_have_names_and_tables() {
  QCOMPARE(m_page->plots().size(), std::size_t{4});
  for (PlotView* plot : m_page->plots()) {
    QVERIFY2(!plot->accessibleName().isEmpty(), qPrintable(plot->id()));
    QVERIFY2(!plot->accessibleDescription().isEmpty(), qPrintable(plot->id()));
    QVERIFY2(!plot->table().rows.empty(), qPrintable(plot->id()));
  }
  for (QComboBox* control : m_page->findChildren<QComboBox*>()) {
    QVERIFY2(!control->accessibleName().isEmpty(), qPrintable(control->objectName()));
  }
  QVERIFY(!child<QTableView>("heads.ranking")->accessibleName().isEmpty());
}

void HeadsPageTest::c52_without_a_run_it_says_what_to_do() {
  m_workspace->show_run(nullptr);
  QVERIFY(matrix()->is_empty());
  QVERIFY(matrix()->empty_text().contains("Open a run"));
  QVERIFY(child<QTableView>("heads.ranking")->isHidden());
  find("layer 4");
  QVERIFY(selection().is_empty());
  keep_picture(*m_page, "heads-page-empty");
}

void HeadsPageTest::a_retrieval_run_has_its_own_figures() {
  m_workspace->show_run(
      std::make_shared<const Run>(kvsieve::tests::retrieval_document({.whole_layers = {1}}), "a"));
  auto* figure = child<QComboBox>("heads.figure");
  QCOMPARE(figure->currentText(), QString("recall@K"));
  for (int i = 0; i < figure->count(); ++i) {
    figure->setCurrentIndex(i);
    QCOMPARE(matrix()->title(), figure->currentText());
  }
  QVERIFY(child<ChartView>("heads.budgets")->is_empty());
  QVERIFY(child<ChartView>("heads.budgets")->empty_text().contains("no budgets"));
  keep_picture(*m_page, "heads-page-retrieval");
}

void HeadsPageTest::a_run_of_whole_layers_says_so() {
  m_workspace->show_run(std::make_shared<const Run>(
      kvsieve::tests::eviction_document({.layers = 2, .whole_layers = {0, 1}}), "a"));
  QVERIFY(matrix()->is_empty());
  QVERIFY2(matrix()->empty_text().contains("left whole"), qPrintable(matrix()->empty_text()));
}

void HeadsPageTest::eighty_layers_are_shown_whole() {
  m_workspace->show_run(std::make_shared<const Run>(
      kvsieve::tests::eviction_document({.layers = 80, .heads = 64, .prompt_tokens = 4096}), "a"));
  QTRY_VERIFY(matrix()->grid(matrix()->size()).y(80) < matrix()->height());
  QTRY_VERIFY(matrix()->visibleRegion().boundingRect().height() == matrix()->height());
  keep_picture(*m_page, "heads-page-80x64");
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::HeadsPageTest)
#include "heads_page_test.moc"
