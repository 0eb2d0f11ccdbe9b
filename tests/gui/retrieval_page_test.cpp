// The retrieval page: linked charts, scores of the chosen head and step, empty states.

#include "pages/retrieval_page.h"

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QtTest>
#include <nlohmann/json.hpp>

#include "pages/pcie_page.h"
#include "patience.h"
#include "pictures.h"
#include "sample_runs.h"
#include "widgets/custom_plot.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr int kPatienceMs = 20'000;

class RetrievalPageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase();
  void init();
  void cleanup();
  void c21_recall_scores_codewords_and_dead_codes_are_shown();
  void c12_a_click_on_a_layer_links_its_heads();
  void c12_a_ranked_head_is_picked_by_mouse_and_keys();
  void c29_a_step_is_marked_across_the_plots();
  void scores_follow_head_query_head_and_step();
  void a_picked_token_is_selected_and_ringed();
  void c38_hover_text_reaches_the_page();
  void c39_times_are_scaled_and_exact_in_the_tool_tip();
  void c52_eviction_says_which_method_to_choose();
  void c52_without_the_trace_scores_say_what_to_open();
  void another_trace_is_refused();
  void what_a_method_lacks_is_said();
  void c53_every_plot_says_its_origin();
  void c54_modelled_stages_have_their_band();
  void c48_the_page_follows_a_dark_palette();
  void a_run_of_evictions_leaves_nothing_of_the_one_before();
  void c06_a_long_run_is_shown_without_blocking();

 private:
  void show(std::shared_ptr<const Run> run, bool with_trace = true);
  [[nodiscard]] ChartView* chart(const char* id) const { return m_page->findChild<ChartView*>(id); }
  [[nodiscard]] PointView* scores() const {
    return m_page->findChild<PointView*>("retrieval.scores");
  }
  [[nodiscard]] const Selection& selection() const { return m_workspace->view().selection(); }
  void click(ChartView* view, double x) const;
  /// Opens the sample as a file: the trace that scores need.
  void open_sample();

  std::shared_ptr<const Run> m_a2ats;
  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<RetrievalPage> m_page;
};

void RetrievalPageTest::initTestCase() {
  m_a2ats = tests::retrieval_run("a2ats", {.latency = true}, [](sim::RetrievalOptions& options) {
    options.placement = sim::Placement::kCpuAttention;
    options.hot_buffer = 100;
    options.codewords = 200;
  });
}

void RetrievalPageTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_page = std::make_unique<RetrievalPage>(*m_workspace);
  m_page->resize(1400, 1900);
  m_page->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_page.get()));
}

void RetrievalPageTest::cleanup() {
  m_page.reset();
  m_workspace.reset();
}

void RetrievalPageTest::open_sample() {
  QSignalSpy finished(m_workspace.get(), &Workspace::open_finished);
  m_workspace->open({QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace")});
  QVERIFY(finished.wait(kPatienceMs));
}

void RetrievalPageTest::show(std::shared_ptr<const Run> run, bool with_trace) {
  if (with_trace) {
    open_sample();
  }
  m_workspace->show_run(std::move(run));
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
}

void RetrievalPageTest::click(ChartView* view, double x) const {
  QCustomPlot& plot = view->plot();
  plot.replot(QCustomPlot::rpImmediateRefresh);
  const QPoint at(static_cast<int>(plot.xAxis->coordToPixel(x)), plot.axisRect()->center().y());
  QTest::mouseClick(&plot, Qt::LeftButton, {}, at);
}

void RetrievalPageTest::c21_recall_scores_codewords_and_dead_codes_are_shown() {
  show(m_a2ats);
  for (const PlotView* plot : m_page->plots()) {
    QVERIFY2(!plot->is_empty(), qPrintable(plot->id() + ": " + plot->empty_text()));
  }
  QVERIFY(chart("retrieval.steps")->csv().contains("recall@K"));
  const PointChart& points = *scores()->chart();
  QCOMPARE(points.clouds[1].ids.size(), std::size_t{60});  // 3 % of 2,010 tokens
  QVERIFY(scores()->note().contains("60 of 1938 eligible tokens selected"));
  const auto& usage = m_a2ats->document()["layers"][0]["heads"][0]["code_usage"];
  QVERIFY(usage["dead_codes"].get<int>() >= 0);
  QVERIFY2(
      chart("retrieval.codewords")
          ->note()
          .contains(
              QStringLiteral("%1 of 200 codewords are dead").arg(usage["dead_codes"].get<int>())),
      qPrintable(chart("retrieval.codewords")->note()));
  QVERIFY(chart("retrieval.usage")->csv().contains("dead codewords"));
  const auto* ranking = m_page->findChild<QTableWidget*>("retrieval.ranking");
  QCOMPARE(ranking->rowCount(), 6);
  tests::keep_picture(*m_page, "retrieval_page");
}

void RetrievalPageTest::c12_a_click_on_a_layer_links_its_heads() {
  show(m_a2ats);
  click(chart("retrieval.errors"), 1.0);  // layer 4
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 0}, {4, 1}, {4, 2}}));
  QVERIFY(chart("retrieval.steps")->note().startsWith("Of 3 KV heads of layer 4."));
  QVERIFY(chart("retrieval.errors")->csv().startsWith("\"layer · KV head\"") ||
          chart("retrieval.errors")->csv().startsWith("layer · KV head"));
  click(chart("retrieval.errors"), 2.0);  // now a head each
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 2}}));
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  QVERIFY(scores()->note().startsWith("Layer 4, query head 6,"));
  // The run has no such series of single heads.
  QVERIFY(chart("retrieval.output")->is_empty());
  QVERIFY(chart("retrieval.output")->empty_text().contains("Esc"));
  m_workspace->view().escape();
  QVERIFY(!chart("retrieval.output")->is_empty());
}

void RetrievalPageTest::c12_a_ranked_head_is_picked_by_mouse_and_keys() {
  show(m_a2ats);
  auto* ranking = m_page->findChild<QTableWidget*>("retrieval.ranking");
  const auto head_of = [&](int row) {
    return HeadId{ranking->item(row, 1)->text().toLongLong(),
                  ranking->item(row, 2)->text().toLongLong()};
  };
  QTest::mouseClick(ranking->viewport(), Qt::LeftButton, {},
                    ranking->visualItemRect(ranking->item(2, 0)).center());
  QCOMPARE(selection().current, std::optional(head_of(2)));
  ranking->setFocus();
  ranking->setCurrentCell(2, 0);
  QTest::keyClick(ranking, Qt::Key_Down);
  QTest::keyClick(ranking, Qt::Key_Return);
  QCOMPARE(selection().current, std::optional(head_of(3)));
  // A selection made elsewhere is marked here.
  m_workspace->view().select(pick({}, head_of(5), Pick::kReplace, {}));
  QCOMPARE(ranking->selectionModel()->selectedRows().size(), 1);
  QCOMPARE(ranking->selectionModel()->selectedRows().front().row(), 5);
}

void RetrievalPageTest::c29_a_step_is_marked_across_the_plots() {
  show(m_a2ats);
  const QColor highlight = m_page->palette().color(QPalette::Highlight);
  const auto marked = [&](ChartView* view) {
    view->plot().replot(QCustomPlot::rpImmediateRefresh);
    const QImage image = view->grab().toImage();
    const int x = static_cast<int>(view->plot().xAxis->coordToPixel(20.0));
    return tests::pixels_of(image, highlight, {x - 2, 0, 5, image.height()}, 40) > 20;
  };
  for (const char* id :
       {"retrieval.steps", "retrieval.reuse", "retrieval.output", "retrieval.tokens"}) {
    QVERIFY2(!marked(chart(id)), id);
  }
  click(chart("retrieval.tokens"), 20.0);
  QCOMPARE(selection().step, std::optional<std::int64_t>(20));
  for (const char* id :
       {"retrieval.steps", "retrieval.reuse", "retrieval.output", "retrieval.tokens"}) {
    QVERIFY2(marked(chart(id)), id);
  }
  QCOMPARE(m_page->findChild<QSpinBox*>("retrieval.step")->value(), 20);
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  QVERIFY(scores()->note().contains("step 20:"));
  m_workspace->view().back();
  QVERIFY(!marked(chart("retrieval.steps")));
}

void RetrievalPageTest::scores_follow_head_query_head_and_step() {
  show(m_a2ats);
  const auto* first = &*scores()->chart();
  const std::vector<float> before = first->clouds[1].x;
  auto* q_head = m_page->findChild<QComboBox*>("retrieval.q_head");
  QCOMPARE(q_head->count(), 3);
  q_head->setFocus();
  QTest::keyClick(q_head, Qt::Key_Down);
  QTRY_VERIFY_WITH_TIMEOUT(scores()->note().startsWith("Layer 0, query head 1, step 0"),
                           kPatienceMs);
  QVERIFY(scores()->chart()->clouds[1].x != before);
  auto* step = m_page->findChild<QSpinBox*>("retrieval.step");
  step->setFocus();
  QTest::keyClick(step, Qt::Key_Up);
  QCOMPARE(selection().step, std::optional<std::int64_t>(1));
  QTRY_VERIFY_WITH_TIMEOUT(scores()->note().startsWith("Layer 0, query head 1, step 1"),
                           kPatienceMs);
  m_workspace->view().select(pick(selection(), {4, 2}, Pick::kReplace, {}));
  QTRY_VERIFY_WITH_TIMEOUT(scores()->note().startsWith("Layer 4, query head 6, step 1"),
                           kPatienceMs);
  QCOMPARE(q_head->itemText(0), QString("6"));
}

void RetrievalPageTest::a_picked_token_is_selected_and_ringed() {
  show(m_a2ats);
  const XyAxes axes = scores()->axes(scores()->size());
  const PointChart::Cloud& selected = scores()->chart()->clouds[1];
  const QImage before = scores()->grab().toImage();
  const QPoint at(static_cast<int>(axes.x.pixel(selected.x[3])),
                  static_cast<int>(axes.y.pixel(selected.y[3])));
  QTest::mouseClick(scores(), Qt::LeftButton, {}, at);
  QVERIFY(selection().tokens.has_value());
  QCOMPARE(selection().tokens->end, selection().tokens->begin + 1);
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  const QColor highlight = m_page->palette().color(QPalette::Highlight);
  QVERIFY(tests::pixels_of(scores()->grab().toImage(), highlight) >
          tests::pixels_of(before, highlight) + 20);
}

void RetrievalPageTest::c38_hover_text_reaches_the_page() {
  show(m_a2ats);
  QSignalSpy hovered(m_page.get(), &Page::hovered);
  QCustomPlot& plot = chart("retrieval.steps")->plot();
  plot.replot(QCustomPlot::rpImmediateRefresh);
  QTest::mouseMove(&plot, QPoint(static_cast<int>(plot.xAxis->coordToPixel(7.0)),
                                 plot.axisRect()->center().y()));
  QTRY_VERIFY(!hovered.isEmpty());
  const QString text = hovered.last().front().toString();
  const double recall = m_a2ats->document()["steps"][7]["recall"];
  QVERIFY2(text.contains(
               QString::fromStdString("recall@K: " + sim::number_text(recall, sim::Unit::kShare))),
           qPrintable(text));
  QVERIFY(text.contains(QString::fromStdString(sim::exact_text(recall, sim::Unit::kShare))));
}

void RetrievalPageTest::c39_times_are_scaled_and_exact_in_the_tool_tip() {
  show(m_a2ats);
  QSignalSpy hovered(m_page.get(), &Page::hovered);
  QCustomPlot& plot = chart("retrieval.stages")->plot();
  plot.replot(QCustomPlot::rpImmediateRefresh);
  QTest::mouseMove(&plot, QPoint(static_cast<int>(plot.xAxis->coordToPixel(0.0)),
                                 plot.axisRect()->center().y()));
  QTRY_VERIFY(!hovered.isEmpty());
  const QString text = hovered.last().front().toString();
  QVERIFY2(text.startsWith("stage rotate"), qPrintable(text));
  QVERIFY2(text.contains(QRegularExpression("measured: [0-9.]+ us \\([0-9.]+ us\\)")),
           qPrintable(text));
  QVERIFY2(text.contains(QRegularExpression("modelled: [0-9.]+ us")), qPrintable(text));
}

void RetrievalPageTest::c52_eviction_says_which_method_to_choose() {
  show(tests::sample_run("ada-snapkv", "20%"));
  const auto* empty = m_page->findChild<QLabel*>("retrieval.empty");
  QVERIFY(empty->isVisible());
  QVERIFY(empty->text().contains("What-if page"));
  QVERIFY(empty->text().contains("a2ats"));
  QVERIFY(empty->text().startsWith("ada-snapkv evicts tokens"));
  for (const PlotView* plot : m_page->plots()) {
    QVERIFY(plot->is_empty());
    QVERIFY(!plot->isVisible());
  }
  tests::keep_picture(*m_page, "retrieval_page_eviction");
}

void RetrievalPageTest::c52_without_the_trace_scores_say_what_to_open() {
  show(m_a2ats, false);
  QVERIFY(scores()->is_empty());
  QVERIFY(scores()->empty_text().startsWith("Open the trace smollm2-needle.kvtrace"));
  QVERIFY(!chart("retrieval.steps")->is_empty());  // the run alone has the rest
}

void RetrievalPageTest::another_trace_is_refused() {
  nlohmann::ordered_json document = m_a2ats->document();
  document["trace"]["hash"] = std::string(32, 'f');
  show(std::make_shared<const Run>(document, "of another trace"));
  QVERIFY(scores()->is_empty());
  QVERIFY2(scores()->empty_text().contains("is not the one that the run was made on"),
           qPrintable(scores()->empty_text()));
}

void RetrievalPageTest::what_a_method_lacks_is_said() {
  show(tests::retrieval_run("streaming-llm"));
  QVERIFY(scores()->empty_text().contains("scores no token"));
  QVERIFY(chart("retrieval.errors")->is_empty());
  QVERIFY(!chart("retrieval.steps")->is_empty());
  show(tests::retrieval_run("quest"), false);
  QVERIFY(!scores()->is_empty());
  QVERIFY(chart("retrieval.codewords")->empty_text().contains("no codebook"));
  QVERIFY(chart("retrieval.errors")->empty_text().contains("no error"));
}

void RetrievalPageTest::c53_every_plot_says_its_origin() {
  show(m_a2ats);
  for (const PlotView* plot : m_page->plots()) {
    QCOMPARE(plot->origin(), plot->id() == "retrieval.stages" ? QString("measured and modelled")
                                                              : QString("captured"));
    const auto* label = m_page->findChild<QLabel*>(plot->id() + ".origin");
    QCOMPARE(label->text(), "(" + plot->origin() + ")");
  }
  show(tests::retrieval_run("a2ats"));
  QCOMPARE(chart("retrieval.stages")->origin(), QString("modelled"));
  QVERIFY(chart("retrieval.stages")->note().contains("--latency"));
  show(tests::retrieval_run("a2ats", {.latency = true, .cost = false}));
  QCOMPARE(chart("retrieval.stages")->origin(), QString("measured"));
}

void RetrievalPageTest::c54_modelled_stages_have_their_band() {
  show(m_a2ats);
  int bars = 0;
  QCustomPlot& plot = chart("retrieval.stages")->plot();
  for (int i = 0; i < plot.plottableCount(); ++i) {
    const auto* errors = qobject_cast<QCPErrorBars*>(plot.plottable(i));
    for (int at = 0; errors != nullptr && at < errors->data()->size(); ++at) {
      bars += errors->data()->at(at).errorPlus > 0.0 ? 1 : 0;
    }
  }
  // Of attention over resident tokens: the one stage of this placement that public rows measure.
  QCOMPARE(bars, 1);
  tests::keep_picture(*chart("retrieval.stages"), "retrieval_stages");
}

void RetrievalPageTest::c48_the_page_follows_a_dark_palette() {
  m_page->setPalette(tests::dark_palette());
  show(m_a2ats);
  click(chart("retrieval.steps"), 20.0);
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  QCOMPARE(scores()->grab().toImage().pixelColor(2, 2),
           tests::dark_palette().color(QPalette::Base));
  QCOMPARE(chart("retrieval.steps")->grab().toImage().pixelColor(2, 2),
           tests::dark_palette().color(QPalette::Base));
  tests::keep_picture(*m_page, "retrieval_page_dark");
}

void RetrievalPageTest::a_run_of_evictions_leaves_nothing_of_the_one_before() {
  show(m_a2ats);
  m_workspace->show_run(tests::sample_run("ada-snapkv", "20%"));
  QVERIFY(scores()->is_empty());
  QCOMPARE(m_page->findChild<QTableWidget*>("retrieval.ranking")->rowCount(), 0);
  m_workspace->show_run(nullptr);
  QVERIFY(m_page->findChild<QLabel*>("retrieval.empty")->text().contains("Open a run"));
}

/// The run as it would be of 80 layers of 8 KV heads and 256 steps.
std::shared_ptr<const Run> long_run(const Run& run) {
  nlohmann::ordered_json document = run.document();
  const nlohmann::ordered_json layer = document["layers"][0];
  const nlohmann::ordered_json head = layer["heads"][0];
  const nlohmann::ordered_json steps = document["steps"];
  document["steps"] = nlohmann::ordered_json::array();
  for (std::size_t step = 0; step < 256; ++step) {
    document["steps"].push_back(steps[step % steps.size()]);
    document["steps"].back()["step"] = step;
  }
  document["layers"] = nlohmann::ordered_json::array();
  for (int l = 0; l < 80; ++l) {
    nlohmann::ordered_json made = layer;
    made["layer"] = l;
    made["heads"] = nlohmann::ordered_json::array();
    for (int h = 0; h < 8; ++h) {
      nlohmann::ordered_json one = head;
      one["head"] = h;
      one["steps"] = nlohmann::ordered_json::array();
      for (std::size_t step = 0; step < 256; ++step) {
        one["steps"].push_back(head["steps"][step % head["steps"].size()]);
      }
      made["heads"].push_back(std::move(one));
    }
    document["layers"].push_back(std::move(made));
  }
  return std::make_shared<const Run>(std::move(document), "long");
}

void RetrievalPageTest::c06_a_long_run_is_shown_without_blocking() {
  const std::shared_ptr<const Run> run = long_run(*m_a2ats);
  PciePage pcie(*m_workspace);
  pcie.resize(1400, 1900);
  pcie.show();
  m_workspace->show_run(m_a2ats);  // fonts and layouts are there
  QElapsedTimer clock;
  const auto took_ms = [&](const char* what, const auto& act) {
    clock.start();
    act();
    const double ms = static_cast<double>(clock.nsecsElapsed()) * 1e-6;
    qInfo("%s: %.1f ms for both pages", what, ms);
    return ms;
  };
  constexpr double kMostMs = tests::patient_ms(200.0);  // two pages, of 100 each
  QVERIFY(took_ms("run of 80 x 8 heads, 256 steps", [&] { m_workspace->show_run(run); }) < kMostMs);
  std::vector<HeadId> layer;
  for (std::int64_t head = 0; head < 8; ++head) {
    layer.push_back({40, head});
  }
  QVERIFY(took_ms("a layer's heads",
                  [&] { m_workspace->view().select(select_heads({}, layer, false)); }) < kMostMs);
  Selection selection = m_workspace->view().selection();
  selection.step = 100;
  QVERIFY(took_ms("a step", [&] { m_workspace->view().select(selection); }) < kMostMs);
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::RetrievalPageTest)
#include "retrieval_page_test.moc"
