// The Timeline page with a run, with a file, and with both.

#include "pages/timeline_page.h"

#include <QSignalSpy>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QtTest>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/run_document.h"
#include "sample_runs.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr int kPatienceMs = 20'000;

std::shared_ptr<const Run> fetching_run(bool latency = false) {
  return tests::retrieval_run("a2ats", {.latency = latency}, [](sim::RetrievalOptions& options) {
    options.placement = sim::Placement::kFetchDma;
    options.codewords = 32;
    options.max_iterations = 3;
  });
}

void keep_picture(QWidget& widget, const QString& name) {
  if (const QString folder = qEnvironmentVariable("KVSIEVE_PICTURES"); !folder.isEmpty()) {
    widget.grab().save(folder + "/" + name + ".png");
  }
}

class TimelinePageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c22_a_run_shows_its_modelled_timeline();
  void c23_the_summary_says_exposed_transfer_in_ms_and_percent();
  void c23_the_critical_path_is_told_by_stage();
  void c24_overlap_is_told_for_each_step();
  void c26_the_roofline_has_modelled_and_measured_points();
  void c30_what_a_drag_measures_stands_below_the_lanes();
  void c35_the_search_box_finds_events();
  void c44_the_exported_trace_opens_again();
  void c54_the_step_time_comes_with_its_error_band();
  void the_step_chooser_selects_and_focuses();
  void a_file_alone_has_no_modelled_part();
  void a_run_and_a_file_stand_one_above_the_other();
  void a_run_without_cost_says_why_there_is_nothing();
  void a_run_of_another_model_is_warned_of();
  void closing_leaves_nothing();
  void dark_palettes_recolour_it();

 private:
  void show(const std::shared_ptr<const Run>& run) {
    m_workspace->show_run(run);
    QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  }
  void open(const QStringList& paths, bool add = false) {
    QSignalSpy finished(m_workspace.get(), &Workspace::open_finished);
    if (add) {
      m_workspace->add(paths);
    } else {
      m_workspace->open(paths);
    }
    QVERIFY(finished.wait(kPatienceMs));
    QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  }
  template <class Widget>
  [[nodiscard]] Widget* find(const char* name) const {
    return m_page->findChild<Widget*>(name);
  }
  [[nodiscard]] QString text(const char* name) const { return find<QLabel>(name)->text(); }
  /// The modelled timeline of the run as a file.
  QString export_run(const QTemporaryDir& folder) {
    const QString path = folder.filePath("timeline.json");
    m_page->export_chrome_trace(path);
    QElapsedTimer patience;
    patience.start();
    while (!m_workspace->jobs().is_idle() && patience.elapsed() < kPatienceMs) {
      QApplication::processEvents(QEventLoop::WaitForMoreEvents);
    }
    return path;
  }

  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<TimelinePage> m_page;
};

void TimelinePageTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_page = std::make_unique<TimelinePage>(*m_workspace);
  m_page->resize(1100, 1000);
  m_page->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_page.get()));
}

void TimelinePageTest::cleanup() {
  m_page.reset();
  m_workspace.reset();
}

void TimelinePageTest::c22_a_run_shows_its_modelled_timeline() {
  QVERIFY(m_page->view().is_empty());
  QVERIFY(m_page->view().empty_text().contains("Open a trace or a run"));
  const auto run = fetching_run();
  show(run);
  QVERIFY(!m_page->view().is_empty());
  const TimelineEvents& events = m_page->view().timelines().front()->events();
  QCOMPARE(events.origin(), QString("modelled"));
  QCOMPARE(events.lanes().size(), std::size_t{4});
  QCOMPARE(events.steps().size(), run->view().steps.size());
  // The timeline is the one behind the run's figures.
  const double step_us = events.total_us() / static_cast<double>(events.steps().size());
  QVERIFY(std::abs(step_us / *run->view().cost("step_us") - 1.0) < 1e-6);
  QVERIFY(find<QLabel>("timeline.warning")->isHidden());
  keep_picture(*m_page, "timeline-page");
}

void TimelinePageTest::c23_the_summary_says_exposed_transfer_in_ms_and_percent() {
  const auto run = fetching_run();
  show(run);
  const QString summary = text("timeline.summary");
  const double exposed = *run->view().cost("exposed_transfer_us");
  QVERIFY2(summary.contains("exposed transfer " + time_text(exposed)), qPrintable(summary));
  QVERIFY2(summary.contains(QString::fromStdString(
               sim::number_text(exposed / *run->view().cost("step_us"), sim::Unit::kShare))),
           qPrintable(summary));
  QVERIFY2(summary.contains(time_text(*run->view().cost("step_us"))), qPrintable(summary));
  QVERIFY2(summary.contains("GPU busy ") && summary.contains("H2D (to GPU) busy "),
           qPrintable(summary));
}

void TimelinePageTest::c23_the_critical_path_is_told_by_stage() {
  const auto run = fetching_run();
  show(run);
  const auto* chart = find<ChartView>("timeline.critical");
  const sim::Table table = chart->table();
  // The document tells the same, in us a step.
  const auto cost = run->view().document.child("cost");
  std::map<std::string, double> us_of;
  double total = 0.0;
  for (const sim::Node& stage : cost->children("critical_path")) {
    us_of[stage.text("stage")] = *stage.number("us");
    total += *stage.number("us");
  }
  QCOMPARE(table.rows.size(), us_of.size());
  for (const auto& row : table.rows) {
    QCOMPARE(row[1].text, sim::number_text(us_of.at(row[0].text) / total, sim::Unit::kShare));
  }
}

void TimelinePageTest::c24_overlap_is_told_for_each_step() {
  const auto run = fetching_run();
  show(run);
  auto* chart = find<ChartView>("timeline.overlap");
  QCOMPARE(chart->table().rows.size(), run->view().steps.size());
  QVERIFY(text("timeline.summary").contains("of the transfers' time"));
  // A pick of a step selects it.
  Q_EMIT chart->picked(3, Qt::NoModifier);
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(3));
  show(tests::eviction_run());
  QVERIFY(chart->is_empty());
  QVERIFY(chart->empty_text().contains("Nothing crosses the link"));
}

void TimelinePageTest::c26_the_roofline_has_modelled_and_measured_points() {
  auto* roofline = find<PointView>("timeline.roofline");
  QVERIFY(roofline->is_empty());
  show(fetching_run(true));
  QVERIFY(!roofline->is_empty());
  QCOMPARE(roofline->origin(), QString("modelled and measured"));
  const auto& marks = roofline->chart()->marks;
  const auto has = [&](const std::string& name) {
    return std::any_of(marks.begin(), marks.end(),
                       [&](const auto& mark) { return mark.name.find(name) != std::string::npos; });
  };
  QVERIFY(has("mlp on the GPU (modelled)"));
  QVERIFY(has("(measured on cpu)"));
  QCOMPARE(roofline->chart()->lines.size(), std::size_t{3});
  keep_picture(*roofline, "roofline");
  keep_picture(*m_page, "timeline-page-measured");
}

void TimelinePageTest::c30_what_a_drag_measures_stands_below_the_lanes() {
  show(fetching_run());
  TimelineView& view = m_page->view();
  QTest::mousePress(&view, Qt::LeftButton, {}, {400, 60});
  QTest::mouseMove(&view, {500, 60});
  QTest::mouseMove(&view, {600, 60});
  QTest::mouseRelease(&view, Qt::LeftButton, {}, {600, 60});
  QVERIFY(text("timeline.measured").contains("moved"));
  QVERIFY(text("timeline.measured").contains("CPU busy"));
}

void TimelinePageTest::c35_the_search_box_finds_events() {
  show(fetching_run());
  auto* box = find<QLineEdit>("timeline.search");
  box->setFocus();
  QTest::keyClicks(box, "LOGIT");
  QTest::keyClick(box, Qt::Key_Return);
  const TimelineEvents& events = m_page->view().timelines().front()->events();
  QVERIFY(m_page->view().selected());
  QCOMPARE(events.name_of(m_page->view().selected()->event), QString("logits"));
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(0));
  QTest::keyClick(box, Qt::Key_Return);
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(1));
  QTest::keyClick(box, Qt::Key_Return, Qt::ShiftModifier);
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(0));
  box->clear();
  QTest::keyClicks(box, "unheard of");
  QTest::keyClick(box, Qt::Key_Return);
  QCOMPARE(text("timeline.found"), QString("No such event"));
}

void TimelinePageTest::c44_the_exported_trace_opens_again() {
  auto* button = find<QPushButton>("timeline.export");
  QVERIFY(!button->isEnabled());
  show(fetching_run());
  QVERIFY(button->isEnabled());
  const QTemporaryDir folder;
  const auto events = TimelineEvents::load(export_run(folder), JobControl::detached());
  const TimelineEvents& shown = m_page->view().timelines().front()->events();
  QCOMPARE(events->size(), shown.size());
  QCOMPARE(events->origin(), QString("modelled"));
  QCOMPARE(events->title(), shown.title());
  QVERIFY(std::abs(events->total_us() / shown.total_us() - 1.0) < 1e-12);
}

void TimelinePageTest::c54_the_step_time_comes_with_its_error_band() {
  const auto run = fetching_run();
  show(run);
  const auto cost = run->view().document.child("cost");
  const QString band = QStringLiteral("error band %1 to %2")
                           .arg(time_text(*cost->number("error_band/low_us")),
                                time_text(*cost->number("error_band/high_us")));
  QVERIFY2(text("timeline.summary").contains(band), qPrintable(text("timeline.summary")));
}

void TimelinePageTest::the_step_chooser_selects_and_focuses() {
  show(fetching_run());
  auto* box = find<QSpinBox>("timeline.step");
  QCOMPARE(box->text(), QString("all steps"));
  box->setFocus();
  QTest::keyClick(box, Qt::Key_Up);
  QTest::keyClick(box, Qt::Key_Up);
  QCOMPARE(box->text(), QString("step 1"));
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(1));
  const TimelineStep step = m_page->view().timelines().front()->events().steps()[1];
  const TimeMapping shown = m_page->view().mapping();
  QVERIFY(shown.low_us < step.begin_us && shown.high_us > step.end_us);
  QVERIFY(shown.span_us() < 1.3 * (step.end_us - step.begin_us));
  QVERIFY(text("timeline.summary").startsWith("Step 1: "));
  keep_picture(*m_page, "timeline-page-step");
  // Selected elsewhere, it is chosen here.
  Selection selection;
  selection.step = 2;
  m_workspace->view().select(selection);
  QCOMPARE(box->text(), QString("step 2"));
  m_workspace->view().escape();
  QCOMPARE(box->text(), QString("all steps"));
}

void TimelinePageTest::a_file_alone_has_no_modelled_part() {
  show(fetching_run());
  const QTemporaryDir folder;
  const QString path = export_run(folder);
  m_workspace->close_all();
  open({path});
  QCOMPARE(m_page->view().timelines().size(), std::size_t{1});
  QVERIFY(!text("timeline.summary").contains("error band"));
  QVERIFY(find<PointView>("timeline.roofline")->is_empty());
  QVERIFY(!find<ChartView>("timeline.critical")->is_empty());
  QVERIFY(!find<QPushButton>("timeline.export")->isEnabled());
  QVERIFY(find<QLabel>("timeline.warning")->isHidden());
}

void TimelinePageTest::a_run_and_a_file_stand_one_above_the_other() {
  show(fetching_run());
  const QTemporaryDir folder;
  const QString trace = export_run(folder);
  const QString run_path = folder.filePath("a.kvrun");
  sim::write_run(run_path.toStdString(), m_workspace->run()->document(), true);
  open({run_path, trace});
  const auto& timelines = m_page->view().timelines();
  QCOMPARE(timelines.size(), std::size_t{2});
  QCOMPARE(timelines[0]->events().size(), timelines[1]->events().size());
  keep_picture(*m_page, "timeline-page-both");
}

void TimelinePageTest::a_run_without_cost_says_why_there_is_nothing() {
  show(tests::retrieval_run("exact-topk", {.cost = false}));
  QVERIFY(m_page->view().is_empty());
  QVERIFY(m_page->view().empty_text().contains("--no-cost"));
  nlohmann::ordered_json document = fetching_run()->document();
  document["cost"]["hardware"]["id"] = "abacus";
  show(std::make_shared<const Run>(document, "broken.kvrun"));
  QVERIFY(m_page->view().empty_text().contains("'abacus' is no built-in hardware"));
}

void TimelinePageTest::a_run_of_another_model_is_warned_of() {
  nlohmann::ordered_json document = fetching_run()->document();
  document["cost"]["step_us"] = 1.01 * document["cost"]["step_us"].get<double>();
  document["cost"]["tool_version"] = "0.0.9";
  document["tool_version"] = "0.0.9";
  show(std::make_shared<const Run>(document, "old.kvrun"));
  QVERIFY2(text("timeline.warning").contains("by version 0.0.9"),
           qPrintable(text("timeline.warning")));
}

void TimelinePageTest::closing_leaves_nothing() {
  show(fetching_run());
  m_workspace->close_all();
  QVERIFY(m_page->view().is_empty());
  QVERIFY(find<QLabel>("timeline.summary")->isHidden());
  QVERIFY(find<ChartView>("timeline.critical")->is_empty());
  QVERIFY(!find<QSpinBox>("timeline.step")->isEnabled());
}

void TimelinePageTest::dark_palettes_recolour_it() {
  QPalette dark;
  dark.setColor(QPalette::Base, QColor(25, 25, 28));
  dark.setColor(QPalette::Window, QColor(35, 35, 38));
  dark.setColor(QPalette::Text, Qt::white);
  dark.setColor(QPalette::WindowText, Qt::white);
  dark.setColor(QPalette::Button, QColor(50, 50, 55));
  dark.setColor(QPalette::ButtonText, Qt::white);
  dark.setColor(QPalette::PlaceholderText, QColor(170, 170, 170));
  m_page->setPalette(dark);
  show(fetching_run());
  QVERIFY(is_dark(m_page->view().palette()));
  keep_picture(*m_page, "timeline-page-dark");
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::TimelinePageTest)
#include "timeline_page_test.moc"
