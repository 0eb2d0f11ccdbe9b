// The PCIe page: traffic, placements, the link's curves and their knees.

#include "pages/pcie_page.h"

#include <QSignalSpy>
#include <QtTest>
#include <nlohmann/json.hpp>

#include "pages/retrieval_page.h"
#include "pictures.h"
#include "sample_runs.h"
#include "widgets/custom_plot.h"

namespace kvsieve::gui {
namespace {

class PciePageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase();
  void init();
  void cleanup();
  void c25_bytes_pieces_rates_and_the_knee_are_shown();
  void c25_a_placement_is_chosen_by_mouse_and_keys();
  void c12_a_click_on_a_layer_links_its_heads();
  void c29_a_step_is_marked_here_and_on_the_retrieval_page();
  void c38_hover_text_reaches_the_page();
  void c39_units_are_scaled_stated_and_exact_in_the_tool_tip();
  void c52_eviction_says_why_nothing_crosses();
  void c52_without_a_cost_the_link_says_what_to_do();
  void c53_every_plot_says_that_it_is_modelled();
  void c54_plots_without_a_band_say_why();
  void c48_the_page_follows_a_dark_palette();
  void a_chosen_placement_stays_with_the_next_run();

 private:
  [[nodiscard]] ChartView* chart(const char* id) const { return m_page->findChild<ChartView*>(id); }
  [[nodiscard]] PointView* link() const { return m_page->findChild<PointView*>("pcie.link"); }
  [[nodiscard]] QTableWidget* table(const char* id) const {
    return m_page->findChild<QTableWidget*>(id);
  }
  [[nodiscard]] const Selection& selection() const { return m_workspace->view().selection(); }
  void click(ChartView* view, double x) const;
  [[nodiscard]] bool is_marked(ChartView* view, double x) const;

  std::shared_ptr<const Run> m_run;
  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<PciePage> m_page;
};

void PciePageTest::initTestCase() {
  m_run = tests::retrieval_run("a2ats", {}, [](sim::RetrievalOptions& options) {
    options.placement = sim::Placement::kFetchHotBuffer;
    options.hot_buffer = 100;
  });
}

void PciePageTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_page = std::make_unique<PciePage>(*m_workspace);
  m_page->resize(1400, 1900);
  m_page->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_page.get()));
}

void PciePageTest::cleanup() {
  m_page.reset();
  m_workspace.reset();
}

void PciePageTest::click(ChartView* view, double x) const {
  QCustomPlot& plot = view->plot();
  plot.replot(QCustomPlot::rpImmediateRefresh);
  const QPoint at(static_cast<int>(plot.xAxis->coordToPixel(x)), plot.axisRect()->center().y());
  QTest::mouseClick(&plot, Qt::LeftButton, {}, at);
}

bool PciePageTest::is_marked(ChartView* view, double x) const {
  view->plot().replot(QCustomPlot::rpImmediateRefresh);
  const QImage image = view->grab().toImage();
  const int at = static_cast<int>(view->plot().xAxis->coordToPixel(x));
  return tests::pixels_of(image, view->palette().color(QPalette::Highlight),
                          {at - 2, 0, 5, image.height()}, 40) > 20;
}

void PciePageTest::c25_bytes_pieces_rates_and_the_knee_are_shown() {
  m_workspace->show_run(m_run);
  for (const PlotView* plot : m_page->plots()) {
    QVERIFY2(!plot->is_empty(), qPrintable(plot->id() + ": " + plot->empty_text()));
  }
  const PointChart& curves = *link()->chart();
  QCOMPARE(curves.lines.size(), std::size_t{4});
  // The DMA knee: 7 us a piece at 25 GB/s on this link.
  const double knee = *knee_bytes(sim::find_hardware("a100-sxm-80")->link, sim::TransferPath::kDma,
                                  sim::Direction::kToGpu);
  const QString said = QString::fromStdString("dma " + sim::number_text(knee, sim::Unit::kBytes));
  QVERIFY2(link()->note().contains(said), qPrintable(link()->note()));
  QVERIFY(std::any_of(curves.marks.begin(), curves.marks.end(), [&](const auto& mark) {
    return mark.x == knee && mark.label.find("knee") != std::string::npos;
  }));
  // Its mark is on the picture: the label's ground hides the curve there.
  const QImage with = link()->grab().toImage();
  PointChart bare = curves;
  bare.marks.clear();
  link()->set_chart(bare, "modelled", {});
  QVERIFY(link()->grab().toImage() != with);
  QCOMPARE(table("pcie.table")->rowCount(), 4);
  QCOMPARE(table("pcie.totals")->rowCount(), 3);
  QVERIFY(m_page->findChild<QLabel*>("pcie.hardware")->text().contains("A100"));
  m_workspace->show_run(m_run);
  tests::keep_picture(*m_page, "pcie_page");
}

void PciePageTest::c25_a_placement_is_chosen_by_mouse_and_keys() {
  m_workspace->show_run(m_run);
  auto* choice = m_page->findChild<QComboBox*>("pcie.placement");
  QCOMPARE(choice->currentText(), QString("fetch-hot-buffer"));  // the run's own
  const QString hot = chart("pcie.bytes")->csv();
  click(chart("pcie.placement_times"), 0.0);
  QCOMPARE(choice->currentText(), QString("cpu-attention"));
  QVERIFY(chart("pcie.bytes")->csv() != hot);
  QVERIFY(chart("pcie.bytes")->note().startsWith("cpu-attention"));
  QVERIFY(is_marked(chart("pcie.placements"), 0.0));
  choice->setFocus();
  QTest::keyClick(choice, Qt::Key_Down);
  QCOMPARE(choice->currentText(), QString("fetch-dma"));
  QVERIFY(chart("pcie.groups")->note().startsWith("fetch-dma"));
  // The mark of the shown placement is the strong one.
  for (const PointChart::Mark& mark : link()->chart()->marks) {
    QCOMPARE(mark.strong, mark.label == "fetch-dma");
  }
}

void PciePageTest::c12_a_click_on_a_layer_links_its_heads() {
  m_workspace->show_run(m_run);
  click(chart("pcie.groups"), 1.0);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 0}, {4, 1}, {4, 2}}));
  QVERIFY(chart("pcie.bytes")->note().contains("3 KV heads of layer 4"));
  click(chart("pcie.group_pieces"), 2.0);
  QCOMPARE(selection().current, std::optional(HeadId{4, 2}));
  QVERIFY(is_marked(chart("pcie.groups"), 2.0));
  m_workspace->view().back();
  QCOMPARE(selection().heads.size(), std::size_t{3});
}

void PciePageTest::c29_a_step_is_marked_here_and_on_the_retrieval_page() {
  RetrievalPage other(*m_workspace);
  other.resize(1400, 1900);
  other.show();
  m_workspace->show_run(m_run);
  auto* recall = other.findChild<ChartView*>("retrieval.steps");
  QVERIFY(!is_marked(recall, 33.0));
  click(chart("pcie.bytes"), 33.0);
  QCOMPARE(selection().step, std::optional<std::int64_t>(33));
  QVERIFY(is_marked(chart("pcie.bytes"), 33.0));
  QVERIFY(is_marked(chart("pcie.pieces"), 33.0));
  QVERIFY(is_marked(recall, 33.0));
  m_workspace->view().escape();
  QVERIFY(!is_marked(chart("pcie.bytes"), 33.0));
}

void PciePageTest::c38_hover_text_reaches_the_page() {
  m_workspace->show_run(m_run);
  QSignalSpy hovered(m_page.get(), &Page::hovered);
  QCustomPlot& plot = chart("pcie.groups")->plot();
  plot.replot(QCustomPlot::rpImmediateRefresh);
  QTest::mouseMove(&plot, QPoint(static_cast<int>(plot.xAxis->coordToPixel(1.0)),
                                 plot.axisRect()->center().y()));
  QTRY_VERIFY(!hovered.isEmpty());
  QVERIFY(hovered.last().front().toString().startsWith("layer 4 · to the GPU: "));
  const XyAxes axes = link()->axes(link()->size());
  const PointChart::Mark& mark = link()->chart()->marks.front();
  QTest::mouseMove(link(), QPoint(static_cast<int>(axes.x.pixel(mark.x)),
                                  static_cast<int>(axes.y.pixel(mark.y))));
  QTRY_VERIFY2(hovered.last().front().toString().startsWith("knee of dma"),
               qPrintable(hovered.last().front().toString()));
}

void PciePageTest::c39_units_are_scaled_stated_and_exact_in_the_tool_tip() {
  m_workspace->show_run(m_run);
  QSignalSpy hovered(m_page.get(), &Page::hovered);
  QCustomPlot& plot = chart("pcie.bytes")->plot();
  plot.replot(QCustomPlot::rpImmediateRefresh);
  QTest::mouseMove(&plot, QPoint(static_cast<int>(plot.xAxis->coordToPixel(5.0)),
                                 plot.axisRect()->center().y()));
  QTRY_VERIFY(!hovered.isEmpty());
  const double bytes =
      m_run->document()["steps"][5]["pcie_per_step"]["fetch-hot-buffer"]["to_gpu_bytes"];
  const QString text = hovered.last().front().toString();
  QVERIFY2(text.contains(
               QString::fromStdString("to the GPU: " + sim::number_text(bytes, sim::Unit::kBytes) +
                                      " (" + sim::exact_text(bytes, sim::Unit::kBytes) + ")")),
           qPrintable(text));
  QVERIFY(text.contains("KiB"));
  QVERIFY(chart("pcie.bytes")->note().contains("KiB = 1,024 B"));
  // Cells of tables have their exact value behind them.
  const QTableWidgetItem* cell = table("pcie.table")->item(1, 2);
  QVERIFY2(cell->text().contains("iB"), qPrintable(cell->text()));
  QVERIFY2(cell->toolTip().endsWith(" B"), qPrintable(cell->toolTip()));
  QVERIFY(table("pcie.table")->item(1, 6)->text().contains(QRegularExpression("(us|ms)$")));
  QVERIFY(table("pcie.table")->item(1, 8)->text().endsWith("GB/s"));
  QCOMPARE(table("pcie.table")->horizontalHeaderItem(8)->text(), QString("rate to the GPU (SI)"));
}

void PciePageTest::c52_eviction_says_why_nothing_crosses() {
  m_workspace->show_run(tests::sample_run("ada-snapkv", "20%"));
  const auto* empty = m_page->findChild<QLabel*>("pcie.empty");
  QVERIFY(empty->isVisible());
  QVERIFY(empty->text().startsWith("Nothing crosses PCIe: ada-snapkv keeps"));
  QVERIFY(empty->text().contains("What-if page"));
  for (const PlotView* plot : m_page->plots()) {
    QVERIFY(plot->is_empty());
  }
  m_workspace->show_run(nullptr);
  QVERIFY(empty->text().startsWith("Open a run"));
}

void PciePageTest::c52_without_a_cost_the_link_says_what_to_do() {
  m_workspace->show_run(tests::retrieval_run("quest", {.cost = false}));
  QVERIFY(!chart("pcie.bytes")->is_empty());
  QVERIFY(link()->is_empty());
  QVERIFY(link()->empty_text().contains("--hardware"));
  QVERIFY(chart("pcie.placement_times")->is_empty());
}

void PciePageTest::c53_every_plot_says_that_it_is_modelled() {
  m_workspace->show_run(m_run);
  for (const PlotView* plot : m_page->plots()) {
    QCOMPARE(plot->origin(), QString("modelled"));
    QCOMPARE(m_page->findChild<QLabel*>(plot->id() + ".origin")->text(), QString("(modelled)"));
  }
  const QTableWidget* totals = table("pcie.totals");
  for (int row = 0; row < totals->rowCount(); ++row) {
    QVERIFY(totals->item(row, 5)->text().startsWith("modelled"));
  }
}

void PciePageTest::c54_plots_without_a_band_say_why() {
  m_workspace->show_run(m_run);
  QVERIFY(chart("pcie.placement_times")->note().contains("No band: no public rows"));
}

void PciePageTest::c48_the_page_follows_a_dark_palette() {
  m_page->setPalette(tests::dark_palette());
  m_workspace->show_run(m_run);
  click(chart("pcie.bytes"), 20.0);
  QCOMPARE(link()->grab().toImage().pixelColor(2, 2), tests::dark_palette().color(QPalette::Base));
  tests::keep_picture(*m_page, "pcie_page_dark");
}

void PciePageTest::a_chosen_placement_stays_with_the_next_run() {
  m_workspace->show_run(m_run);
  auto* choice = m_page->findChild<QComboBox*>("pcie.placement");
  choice->setCurrentText("cpu-attention");
  m_workspace->show_run(tests::retrieval_run("quest"));
  QCOMPARE(choice->currentText(), QString("cpu-attention"));
  QCOMPARE(choice->count(), 3);
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::PciePageTest)
#include "pcie_page_test.moc"
